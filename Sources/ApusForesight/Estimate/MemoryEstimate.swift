import ApusCore
import ApusModels
import ApusProgram

/// What training a model takes on each rank, known before anything runs: the step is recorded and planned exactly
/// as the runtime does it, then read. All ranks of a layout have the same plan.
///
/// Nothing here is a formula that could drift from the trainer; the closed forms stand beside the counts for
/// comparison. Domain reference S5 to S10.
package struct MemoryEstimate: Sendable {
  package let model: ModelConfiguration
  package let settings: TrainingProgramSettings
  /// Micro-batches of an optimizer step. From two on memory does not depend on it (S17).
  package let accumulation: Int
  package let program: StepProgram
  package let plan: MemoryPlan

  /// A save streams the weights and states from the arena. Only weights written under their published names
  /// pass through a buffer, of 2^22 numbers in float32.
  package static let savingBuffer = ByteCount(4 << 22)

  /// Records and plans a step.
  ///
  /// - Parameters:
  ///   - model: with its final vocabulary, which must not be 0.
  ///   - workspace: the scratch memory of the backend that would run it.
  /// - Throws: when the sizes exceed 64-bit counts.
  package init(
    _ model: ModelConfiguration, _ settings: TrainingProgramSettings, accumulation: Int = 1,
    workspace: WorkspaceCatalogue
  ) throws(ForesightError) {
    try Self.checkCounts(model, settings)
    self.model = model
    self.settings = settings
    self.accumulation = accumulation
    program = StepProgram.training(model, settings)
    plan = MemoryPlan(program, workspace: workspace)
  }

  /// Refuses sizes whose sums would overflow: a generous bound in floating point, before anything is counted.
  private static func checkCounts(
    _ model: ModelConfiguration, _ settings: TrainingProgramSettings
  ) throws(ForesightError) {
    let parameters = Double(ParameterCount(model).total)
    let sequence = Double(settings.sequenceLength)
    let (tokens, overflow) = settings.microBatchSize.multipliedReportingOverflow(by: settings.sequenceLength)
    let width = Double(model.heads.width + model.hiddenSize)
    let columns =
      Double(model.layerCount) * (width + Double(model.intermediateSize)) + Double(model.vocabularySize)
    // A layer holds fewer than 32 tensors of these widths; attention's FLOPs are below 14 a pair and column.
    let bytes = 16 * parameters + 4 * 32 * Double(tokens) * columns
    let flops = 6 * parameters * sequence + 14 * Double(model.layerCount) * width * sequence * sequence
    guard !overflow, bytes < 0x1p61, flops < 0x1p61 else {
      throw .beyondCounting(parameters: ParameterCount(model).total, tokens: overflow ? Int.max : tokens)
    }
  }

  // MARK: Bytes

  /// Bytes of a role: all parameters, gradients and optimizer states; of activations and workspace those alive at the
  /// instruction where most transient bytes are.
  package func byteCount(of role: Role) -> ByteCount {
    ByteCount(role == .gradient ? program.byteCount(of: role) : plan.bytesAtPeak[role] ?? 0)
  }

  /// Bytes of gradients that are computed only after that instruction, where activations were: counted twice in the
  /// bytes of the roles. 0 where gradients are summed over micro-batches.
  package var sharedByGradients: ByteCount {
    ByteCount(program.byteCount(of: .gradient) - (plan.bytesAtPeak[.gradient] ?? 0))
  }

  /// Float32 weights beside 16-bit ones: part of the optimizer states.
  package var masterWeights: ByteCount {
    ByteCount(program.units.reduce(0) { $0 + ($1.master?.byteCount ?? 0) })
  }

  /// Elements of a rank's whole units that are no parameters: each parameter starts at a multiple of 16 elements,
  /// and a unit that is sharded is a multiple of 256 bytes a rank. Gradients and both moments have the same padding.
  package var parameterPadding: Int {
    program.units.reduce(0) { $0 + $1.count - $1.parameters.reduce(0) { $0 + $1.tensor.count } }
  }

  /// Bytes between storages, which start at multiples of `MemoryPlan.alignment`.
  package var alignmentBytes: ByteCount {
    let roles = Role.allCases.filter(\.isPersistent)
    return ByteCount(roles.reduce(plan.persistentBytes) { $0 - program.persistentByteCount(of: $1) })
  }

  /// Transient bytes that packing by lifetime loses.
  package var packingBytes: ByteCount { ByteCount(plan.transientBytes - plan.transientLowerBound) }

  /// The arena that training maps before step 1.
  package var planned: ByteCount { ByteCount(plan.totalBytes) }
  package var lowerBound: ByteCount { ByteCount(plan.lowerBound) }

  // MARK: Peaks

  /// The peak of step 1. Apus maps everything before it, the optimizer states too, so step 1 already has
  /// the memory of every later step, and a run that starts does not fail at step 2 (S8).
  package var peakOfFirstStep: ByteCount { planned }
  /// The peak of every later step: that of step 1.
  package var peakOfLaterSteps: ByteCount { planned }
  /// The peak while a checkpoint or a published folder is written.
  package var peakOfSaving: ByteCount { ByteCount(plan.totalBytes + Self.savingBuffer.bytes) }

  /// The most of the whole run.
  package var peak: ByteCount { max(peakOfFirstStep, peakOfLaterSteps, peakOfSaving) }

  /// The same training on an allocator that grows with use and gets the optimizer states in step 1's update.
  package var growingAllocator: MemoryMilestones {
    MemoryMilestones(
      weights: byteCount(of: .parameter), masterWeights: masterWeights, gradients: byteCount(of: .gradient),
      moments: ByteCount(byteCount(of: .optimizerState).bytes - masterWeights.bytes),
      activations: ByteCount(
        plan.timelines.joined().map { $0.reduce(0) { $1.key == .gradient ? $0 : $0 + $1.value } }.max() ?? 0))
  }

  // MARK: Communication

  /// What the first rank exchanges in a step, by axis and primitive in the order in which these are declared.
  package var exchanges: [(axis: MeshAxis, kind: CollectiveKind, volume: CommunicationVolume)] {
    let volumes = program.communication(
      microbatches: accumulation, at: MeshPosition(program.mesh, rank: 0))
    return MeshAxis.allCases.flatMap { axis in
      CollectiveKind.allCases.compactMap { kind in
        volumes[axis]?[kind].map { (axis: axis, kind: kind, volume: $0) }
      }
    }
  }

  // MARK: Batch

  /// Tokens of a micro-batch: sequences times their length (S5).
  package var tokensOfMicrobatch: Int { settings.microBatchSize * settings.sequenceLength }
  /// Of all replicas.
  package var sequencesOfStep: Int { settings.microBatchSize * accumulation * settings.layout.data }
  package var tokensOfStep: Int { sequencesOfStep * settings.sequenceLength }
}
