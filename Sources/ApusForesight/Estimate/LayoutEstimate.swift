import ApusCore
import ApusModels
import ApusProgram

/// What a rank of each device of a layout's pipeline holds and exchanges in a step, read from the programs that training
/// would record.
package struct LayoutEstimate: Sendable {
  /// The ranks of one device of the pipeline: they differ in what they send by their shards' padding alone.
  package struct Device: Sendable {
    package let program: StepProgram
    package let memory: StageMemory
    /// Calls and bytes of a step on the device's first rank.
    package let communication: [MeshAxis: [CollectiveKind: CommunicationVolume]]

    /// Layers that the device holds.
    package let parts: [StagePart]
  }

  package let layout: ParallelLayout
  package let devices: [Device]

  /// Records and plans a step of each device under 1F1B, the order in which a device holds as many micro-batches as
  /// stages follow it, itself counted (domain reference B5).
  ///
  /// - Parameters:
  ///   - settings: for each device of the pipeline, of one layout.
  ///   - microbatches: of a replica in a step.
  package init(
    _ model: ModelConfiguration, _ settings: [TrainingProgramSettings], microbatches: Int,
    workspace: WorkspaceCatalogue
  ) {
    require(!settings.isEmpty, "an estimate of no device")
    let layout = settings[0].layout
    self.layout = layout
    devices = settings.map { settings in
      let program = StepProgram.training(model, settings)
      let device = settings.pipeline.device
      let inFlight = min(microbatches, layout.pipeline - device)
      let rank = device * layout.tensor * layout.context
      return Device(
        program: program,
        memory: StageMemory(
          program, inFlight: Array(repeating: inFlight, count: settings.pipeline.chunks),
          workspace: workspace),
        communication: program.communication(
          microbatches: microbatches, at: MeshPosition(program.mesh, rank: rank)),
        parts: settings.pipeline.parts(layerCount: model.layerCount, devices: layout.pipeline))
    }
  }

  /// The number of the device that needs most memory.
  package var fullest: Int {
    devices.indices.max { devices[$0].memory.totalBytes < devices[$1].memory.totalBytes } ?? 0
  }
}
