import ApusCore
import ApusProgram

/// What a training step is recorded from.
package struct TrainingProgramSettings: Hashable, Sendable {
  /// Sequences in a micro-batch.
  package var microBatchSize: Int
  package var sequenceLength: Int
  package var optimizer: OptimizerSettings
  package var recomputation: RecomputationSettings
  package var precision: PrecisionPolicy
  /// Whether to add a forward-only segment that gives the loss of each token.
  package var evaluates: Bool
  /// Whether neighbouring instructions are fused. Off where a program is taken apart, or compared.
  package var isFused = true

  package init(
    microBatchSize: Int, sequenceLength: Int, optimizer: OptimizerSettings = OptimizerSettings(),
    recomputation: RecomputationSettings = .none, precision: PrecisionPolicy = .fp32, evaluates: Bool = false
  ) {
    self.microBatchSize = microBatchSize
    self.sequenceLength = sequenceLength
    self.optimizer = optimizer
    self.recomputation = recomputation
    self.precision = precision
    self.evaluates = evaluates
  }
}

extension StepProgram {
  /// Records one training step: forward and backward of a micro-batch, clipping, AdamW.
  package static func training(
    _ configuration: ModelConfiguration, _ settings: TrainingProgramSettings
  ) -> StepProgram {
    training(configuration.declaration, settings)
  }

  /// Records one training step of any model.
  package static func training(
    _ declaration: ModelDeclaration, _ settings: TrainingProgramSettings
  ) -> StepProgram {
    var step = StepRecorder(precision: settings.precision)
    let model = declaration(&step, true)
    var program = StepProgram(model, rows: settings.microBatchSize * settings.sequenceLength, in: &step)
    let context = SequenceContext.sequences(length: settings.sequenceLength)
    let loss = step.tensor("loss", .result, Signature(1, 1))
    program.loss = loss

    model.recordLoss(&program, context, in: &step)
    let differentiated = GradientPass.differentiate(
      step.takeInstructions(), units: model.units, loss: loss, in: &step)
    program.layerInputs = step.takeBoundaries()
    let (forward, backward) = Recomputation.apply(
      settings.recomputation, forward: differentiated.forward, backward: differentiated.backward,
      boundaries: program.layerInputs, in: &step)
    program.groups = [[Segment(.forward, forward), Segment(.backward, backward)]]

    let (norm, coefficient) = step.clipping(
      model.units, maximumNorm: settings.optimizer.maximumNorm, control: program.control)
    program.gradientNorm = norm
    program.groups.append([Segment(.synchronise, step.takeInstructions())])
    step.adamW(model.units, settings.optimizer, coefficient: coefficient, control: program.control)
    program.groups.append([Segment(.optimizer, step.takeInstructions())])

    if settings.evaluates { program.addEvaluation(model, context, in: &step) }
    program.storages = step.storages
    if settings.isFused { program.fuse() }
    return program
  }

  /// Records a forward pass that gives the loss of each token of `microBatchSize` sequences.
  package static func evaluation(
    _ configuration: ModelConfiguration, microBatchSize: Int, sequenceLength: Int
  ) -> StepProgram {
    var step = StepRecorder()
    let model = configuration.declaration(&step, false)
    var program = StepProgram(model, rows: microBatchSize * sequenceLength, in: &step)
    program.addEvaluation(model, .sequences(length: sequenceLength), in: &step)
    program.storages = step.storages
    program.fuse()
    return program
  }

  private mutating func addEvaluation(
    _ model: any LanguageModel, _ context: SequenceContext, in step: inout StepRecorder
  ) {
    let losses = step.tensor("token losses", .result, Signature(1, tokens.count))
    tokenLosses = losses
    let computed = model.recordLoss(&self, context, in: &step)
    var instructions = step.takeInstructions()
    // The loss goes straight to where the host reads it.
    require(
      instructions[instructions.count - 1].outputs[0].tensor == computed, "evaluation: the head is not last")
    instructions[instructions.count - 1].outputs = [Destination(losses)]
    groups.append([Segment(.evaluation, instructions)])
  }

  /// A program without segments: parameters, inputs and tables of `model`, for `rows` tokens.
  init(_ model: any LanguageModel, rows: Int, in step: inout StepRecorder) {
    self.init(
      units: model.units,
      tokens: step.tensor("tokens", .input, Signature(1, rows, .int32)),
      targets: step.tensor("targets", .input, Signature(1, rows, .int32)),
      control: step.tensor("control", .input, Signature(1, Control.allCases.count)), tables: model.tables)
  }
}

extension LanguageModel {
  /// Records the model and its fused head; gives the losses.
  @discardableResult
  fileprivate func recordLoss(
    _ program: inout StepProgram, _ context: SequenceContext, in step: inout StepRecorder
  ) -> Tensor {
    guard let targets = program.targets else {
      require(false, "a program without targets has no loss")
      return program.tokens
    }
    let hidden = hiddenStates(program.tokens, context, in: &step)
    step.label = "head"
    return step.headLoss(hidden, head, targets: targets, control: program.control)
  }
}
