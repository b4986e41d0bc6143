import ApusCore
import ApusProgram

/// A language model whose layers can be shared out to the stages of a pipeline: it declares the parameters of its
/// parts alone, and its forward pass comes in three pieces.
package protocol StagedModel: LanguageModel {
  /// What of the model the program is recorded for (`StepRecorder.parts`).
  var parts: [StagePart] { get }
  /// What one stage hands to the next for `rows` tokens.
  func handedOn(rows: Int, in step: StepRecorder) -> Signature
  /// What stands before the layers; gives the residual stream.
  func embedded(_ tokens: Tensor, _ context: SequenceContext, in step: inout StepRecorder) -> Tensor
  /// These layers; marks their inputs and the last one's output (`layerInput`).
  func layers(
    _ layers: Range<Int>, _ x: Tensor, _ context: SequenceContext, in step: inout StepRecorder
  ) -> Tensor
  /// The last norm; gives hidden states as the head reads them.
  func finished(_ x: Tensor, in step: inout StepRecorder) -> Tensor
}

extension StagedModel {
  package func hiddenStates(
    _ tokens: Tensor, _ context: SequenceContext, in step: inout StepRecorder
  ) -> Tensor {
    var x = embedded(tokens, context, in: &step)
    for part in parts { x = layers(part.layers, x, context, in: &step) }
    return finished(x, in: &step)
  }

  /// What a stage holds; stops where it is asked for what another one holds.
  func held<Part>(_ part: Part?) -> Part {
    guard let part else { fatalError("a stage was asked for parameters that another one holds") }
    return part
  }
}

extension LanguageModel {
  /// Records a part of the model, the whole where it is nil: from the tokens or the previous stage to the loss or
  /// the next stage.
  func record(
    _ part: StagePart?, _ program: StepProgram, _ context: SequenceContext, in step: inout StepRecorder
  ) {
    guard let part, let staged = self as? any StagedModel else {
      return recordHead(hiddenStates(program.tokens, context, in: &step), program, in: &step)
    }
    let x =
      part.hasEmbedding
      ? staged.embedded(program.tokens, context, in: &step)
      : step.receiveFromPreviousStage(staged.handedOn(rows: program.tokens.count, in: step))
    let y = staged.layers(part.layers, x, context, in: &step)
    if part.hasHead {
      recordHead(staged.finished(y, in: &step), program, in: &step)
    } else {
      step.sendToNextStage(y)
    }
  }

  /// The parts that a program's device holds, chunk by chunk: nil for all of a model on one device.
  func recordedParts(in step: StepRecorder) -> [StagePart?] {
    guard step.mesh.degree(of: .pipeline) > 1 else { return [nil] }
    guard let staged = self as? any StagedModel else {
      require(false, "a model that is not written in pieces cannot be divided into stages")
      return [nil]
    }
    return staged.parts
  }

  /// Whether the device has the head.
  func computesLoss(in step: StepRecorder) -> Bool {
    recordedParts(in: step).contains { $0?.hasHead ?? true }
  }

  private func recordHead(_ hidden: Tensor, _ program: StepProgram, in step: inout StepRecorder) {
    guard let targets = program.targets else {
      return require(false, "a program without targets has no loss")
    }
    step.label = "head"
    _ = step.headLoss(
      hidden, head, targets: targets, control: program.control, vocabularySize: vocabularySize)
  }
}

extension [StagePart] {
  /// Each layer with the chunk that it belongs to.
  var numberedLayers: [(chunk: Int, layer: Int)] {
    enumerated().flatMap { chunk, part in part.layers.map { (chunk, $0) } }
  }
}
