import ApusCore
import ApusProgram

extension StepProgram {
  /// Records the continuation of one sequence through key-value caches: a segment for `prefillLength` tokens
  /// of prompt and one for a single token, over the same parameters and caches.
  ///
  /// `tokens` has room for the longer segment; a shorter one reads its start. `logits` are those of the
  /// segment's last row, `[1, V]`.
  package static func generation(
    _ configuration: ModelConfiguration, capacity: Int, prefillLength: Int
  ) -> StepProgram {
    var step = StepRecorder()
    let model = configuration.declaration(&step, false)
    var program = StepProgram(model, rows: prefillLength, in: &step)
    program.targets = nil
    let start = step.tensor("start position", .input, Signature(1, 1, .int32))
    let logits = step.tensor("logits", .result, Signature(1, configuration.vocabularySize))
    program.start = start
    program.logits = logits
    let keyWidth = configuration.heads.keyWidth
    let caches = (0..<configuration.layerCount).map { layer in
      SequenceContext.KeyValueCache(
        keys: step.tensor("layer \(layer) keys", .cache, Signature(capacity, keyWidth)),
        values: step.tensor("layer \(layer) values", .cache, Signature(capacity, keyWidth)))
    }
    for (kind, length) in [(Segment.Kind.prefill, prefillLength), (.decode, 1)] {
      var tokens = program.tokens
      tokens.columns = length
      var hidden = model.hiddenStates(tokens, .cached(start: start, caches: caches), in: &step)
      hidden.offset = (length - 1) * hidden.columns
      hidden.rows = 1
      step.label = "head"
      step.emit(Linear(layout: .outputMajor), [hidden, model.head], to: [Destination(logits)])
      program.groups.append([Segment(kind, step.takeInstructions())])
    }
    program.storages = step.storages
    program.fuse()
    return program
  }
}
