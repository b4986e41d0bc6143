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
  /// The device of the layout's pipeline that the program is for, and how layers are shared out.
  package var pipeline = PipelinePlace()
  package var communication: CommunicationPolicy
  /// Whether a step may have several micro-batches, over which gradients are summed. With one, which backward fills and
  /// the update uses up, activations have the gradients' place before.
  package var accumulates = true
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

  /// Tokens of a micro-batch on a rank: where sequences are divided over the context axis, its part of each.
  package var localTokens: Int { microBatchSize * sequenceLength / layout.context }
}

extension StepProgram {
  /// Records one training step of one rank: forward and backward of a micro-batch, clipping, AdamW. The same
  /// program serves all ranks of the layout that are on the same device of their pipeline.
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
    var step = StepRecorder(
      mesh: mesh, communication: settings.communication, precision: settings.precision,
      pipeline: settings.pipeline)
    let model = declaration(&step, true)
    require(
      layout.expert == 1 || layout.pipeline > 1 || model.units.contains(where: \.isExpert),
      "a model without experts cannot share them out to \(layout.expert) ranks")
    var program = StepProgram(model, rows: settings.localTokens, in: &step)
    let context = SequenceContext.sequences(length: settings.sequenceLength)
    let loss = step.tensor("loss", .result, Signature(1, 1))
    program.loss = loss
    if settings.dropout > 0 {
      let key = step.tensor("dropout key", .input, Signature(1, DropoutKey.allCases.count, .int32))
      program.dropoutKey = key
      step.dropout = DropoutRecording(
        probability: settings.dropout, key: key,
        slice: SequenceSlice(mesh, sequenceLength: settings.sequenceLength))
    }

    program.recordChunks(of: model, context, loss: loss, settings.recomputation, in: &step)
    step.dropout = nil

    step.sumLoss(loss, isComputedHere: model.computesLoss(in: step))
    step.sumTiedGradients(model.units)
    let (norm, coefficient) = step.clipping(
      model.units, maximumNorm: settings.optimizer.maximumNorm, control: program.control)
    program.gradientNorm = norm
    let synchronise = Segment(.synchronise, step.takeInstructions())
    step.adamW(model.units, settings.optimizer, coefficient: coefficient, control: program.control)
    let update = Segment(.optimizer, step.takeInstructions())
    // A pipeline's schedule runs other micro-batches between a segment and the next.
    program.accumulates = settings.accumulates || layout.pipeline > 1
    if program.accumulates {
      program.groups += [[synchronise], [update]]
    } else {
      program.groups[program.groups.count - 1] += [synchronise, update]
      for gradients in model.units.compactMap(\.gradients) { step.endsWithStep(gradients) }
    }

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

  /// A program without segments: parameters, inputs and tables of `model`, for `rows` tokens.
  init(_ model: any LanguageModel, rows: Int, in step: inout StepRecorder) {
    self.init(
      mesh: step.mesh, units: model.units,
      tokens: step.tensor("tokens", .input, Signature(1, rows, .int32)),
      targets: step.tensor("targets", .input, Signature(1, rows, .int32)),
      control: step.tensor("control", .input, Signature(1, Control.allCases.count)), tables: model.tables)
  }
}
