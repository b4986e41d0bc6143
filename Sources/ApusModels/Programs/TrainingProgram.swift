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
  /// The share of elements that a model's dropout drops; 0 records none.
  package var dropout = 0.0
  /// Whether to add a forward-only segment that gives the loss of each token.
  package var evaluates: Bool
  /// The ranks that train together; a micro-batch is that of one replica.
  package var layout: ParallelLayout
  package var communication: CommunicationPolicy
  /// Whether neighbouring instructions are fused. Off where a program is taken apart, or compared.
  package var isFused = true

  package init(
    microBatchSize: Int, sequenceLength: Int, optimizer: OptimizerSettings = OptimizerSettings(),
    recomputation: RecomputationSettings = .none, precision: PrecisionPolicy = .fp32, evaluates: Bool = false,
    layout: ParallelLayout = ParallelLayout(), communication: CommunicationPolicy = CommunicationPolicy()
  ) {
    self.microBatchSize = microBatchSize
    self.sequenceLength = sequenceLength
    self.optimizer = optimizer
    self.recomputation = recomputation
    self.precision = precision
    self.evaluates = evaluates
    self.layout = layout
    self.communication = communication
  }
}

extension StepProgram {
  /// Records one training step of one rank: forward and backward of a micro-batch, clipping, AdamW. The same
  /// program serves all ranks of the layout.
  package static func training(
    _ configuration: ModelConfiguration, _ settings: TrainingProgramSettings
  ) -> StepProgram {
    training(
      configuration.declaration, settings,
      mesh: Mesh(settings.layout, keyValueCopies: configuration.keyValueCopies(settings.layout)))
  }

  /// Records one training step of any model.
  package static func training(
    _ declaration: ModelDeclaration, _ settings: TrainingProgramSettings, mesh: Mesh = .single
  ) -> StepProgram {
    let layout = mesh.layout
    require(
      layout.context == 1 && layout.pipeline == 1 && layout.expert == 1,
      "a step is recorded for the axes tensor and data, not for context \(layout.context), "
        + "pipeline \(layout.pipeline), expert \(layout.expert)")
    var step = StepRecorder(
      mesh: mesh, communication: settings.communication, precision: settings.precision)
    let model = declaration(&step, true)
    var program = StepProgram(model, rows: settings.microBatchSize * settings.sequenceLength, in: &step)
    let context = SequenceContext.sequences(length: settings.sequenceLength)
    let loss = step.tensor("loss", .result, Signature(1, 1))
    program.loss = loss
    if settings.dropout > 0 {
      let key = step.tensor("dropout key", .input, Signature(1, DropoutKey.allCases.count, .int32))
      program.dropoutKey = key
      step.dropout = DropoutRecording(probability: settings.dropout, key: key)
    }

    model.recordLoss(&program, context, in: &step)
    let materialised = Materialisation.apply(
      step.takeInstructions(), units: model.units, training: true, in: &step)
    let differentiated = GradientPass.differentiate(
      materialised.forward, units: model.units, readings: materialised.readings, loss: loss, in: &step)
    func lower(_ instructions: [Instruction]) -> [Instruction] {
      Materialisation.lower(instructions, units: model.units, readings: materialised.readings, mesh: mesh)
        .withoutViews
    }
    program.layerInputs = step.takeBoundaries()
    step.dropout = nil
    let (forward, backward) = Recomputation.apply(
      settings.recomputation, forward: lower(differentiated.forward),
      backward: lower(differentiated.backward),
      boundaries: program.layerInputs, in: &step)
    program.groups = [
      [
        Segment(.forward, Prefetch.apply(forward, in: &step)),
        Segment(.backward, Prefetch.apply(backward, in: &step)),
      ]
    ]

    step.sumOverReplicas(loss)
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
    _ = model.recordLoss(&self, context, in: &step)
    let materialised = Materialisation.apply(
      step.takeInstructions(), units: model.units, training: false, in: &step)
    let instructions = Materialisation.lower(
      materialised.forward, units: model.units, readings: materialised.readings, mesh: step.mesh
    ).withoutViews
    guard let head = instructions.last, case .headLoss(let loss) = head.op else {
      return require(false, "evaluation: the head is not last")
    }
    // The loss goes straight to where the host reads it.
    loss.evaluate(head, into: losses, in: &step)
    let ending = step.takeInstructions()
    groups.append([Segment(.evaluation, Prefetch.apply(instructions.dropLast() + ending, in: &step))])
    // Layer inputs matter to recomputation, which evaluation has none of.
    _ = step.takeBoundaries()
  }

  /// A program without segments: parameters, inputs and tables of `model`, for `rows` tokens.
  init(_ model: any LanguageModel, rows: Int, in step: inout StepRecorder) {
    self.init(
      mesh: step.mesh, units: model.units,
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
    return step.headLoss(
      hidden, head, targets: targets, control: program.control, vocabularySize: vocabularySize)
  }
}
