import ApusCore
import ApusProgram

extension StepProgram {
  /// Records forward and backward of a micro-batch: a pair of segments for each chunk of layers that the device
  /// holds, forward in the order in which a micro-batch passes them, backward in the reverse.
  mutating func recordChunks(
    of model: any LanguageModel, _ context: SequenceContext, loss: Tensor,
    _ recomputation: RecomputationSettings, in step: inout StepRecorder
  ) {
    var forwards: [Segment] = []
    var backwards: [Segment] = []
    // Positions that a byte budget names count through the chunks.
    var recorded = 0
    for (chunk, part) in model.recordedParts(in: step).enumerated() {
      model.record(part, self, context, in: &step)
      let materialised = Materialisation.apply(
        step.takeInstructions(), units: model.units, training: true, in: &step)
      let differentiated = GradientPass.differentiate(
        materialised.forward, units: model.units, readings: materialised.readings, loss: loss, in: &step)
      let mesh = mesh
      func lower(_ instructions: [Instruction]) -> [Instruction] {
        Materialisation.lower(instructions, units: model.units, readings: materialised.readings, mesh: mesh)
          .withoutViews
      }
      let boundaries = step.takeBoundaries()
      let whole = lower(differentiated.forward)
      let (forward, backward) = Recomputation.apply(
        recomputation.of(layersFrom: part?.layers.lowerBound ?? 0, instructionsFrom: recorded),
        forward: whole, backward: lower(differentiated.backward), boundaries: boundaries, in: &step)
      recorded += whole.count
      layerInputs += boundaries
      forwards.append(Segment(.forward, chunk: chunk, Prefetch.apply(forward, in: &step)))
      backwards.append(Segment(.backward, chunk: chunk, Prefetch.apply(backward, in: &step)))
    }
    groups.append(forwards + backwards.reversed())
  }

  /// Records a forward pass to the loss of each token: a segment a chunk. Another device than the last one of a
  /// pipeline has no losses.
  mutating func addEvaluation(
    _ model: any LanguageModel, _ context: SequenceContext, in step: inout StepRecorder
  ) {
    var segments: [Segment] = []
    for (chunk, part) in model.recordedParts(in: step).enumerated() {
      model.record(part, self, context, in: &step)
      let materialised = Materialisation.apply(
        step.takeInstructions(), units: model.units, training: false, in: &step)
      var instructions = Materialisation.lower(
        materialised.forward, units: model.units, readings: materialised.readings, mesh: step.mesh
      ).withoutViews
      if let head = instructions.last, case .headLoss(let loss) = head.op {
        // The loss goes straight to where the host reads it.
        let losses = step.tensor("token losses", .result, Signature(1, tokens.count))
        tokenLosses = losses
        loss.evaluate(head, into: losses, in: &step)
        instructions = instructions.dropLast() + step.takeInstructions()
      }
      segments.append(Segment(.evaluation, chunk: chunk, Prefetch.apply(instructions, in: &step)))
      // Layer inputs matter to recomputation, which evaluation has none of.
      _ = step.takeBoundaries()
    }
    groups.append(segments)
  }
}

extension RecomputationSettings {
  /// The settings as a chunk sees them whose layers, and whose instructions, are counted from these on.
  fileprivate func of(layersFrom first: Int, instructionsFrom start: Int) -> Self {
    switch self {
    case .uniform: self
    case .layers(let rules):
      .layers(
        rules.map { rule in
          LayerRecomputation(
            rule.policy, layers: LayerSet(rule.layers.ranges.joined().map { $0 - first }.filter { $0 >= 0 }))
        })
    case .repeating(let positions): .repeating(Set(positions.map { $0 - start }))
    }
  }
}
