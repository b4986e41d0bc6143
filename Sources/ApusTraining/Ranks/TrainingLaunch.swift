import ApusCommunication
import ApusConfiguration
import ApusCore
import ApusRuntime

/// Starts a training run on the ranks of its layout.
package enum TrainingLaunch {
  /// Refuses what can be planned but not run, before anything starts.
  package static func check(_ configuration: Configuration) throws(RuntimeFailure) {
    try Executor.checkAxes(configuration.layout.ranks)
    if configuration.model.shape?.experts != nil { throw .noExperts }
  }

  /// Runs all ranks as threads of this process; a layout of one rank runs on the calling thread.
  package static func inProcess(
    _ configuration: Configuration, start: RunFolder.Start, command: [String], descriptor: Int32 = 1,
    foresight: StepForesight.Source = .nothing
  ) throws -> TrainingRun.Summary {
    try check(configuration)
    let layout = configuration.layout
    let count = layout.ranks.worldSize
    if count == 1 {
      return try TrainingRun(
        configuration, start: start, command: command, descriptor: descriptor, foresight: foresight
      ).run()
    }
    let summaries = try LocalRanks.run(count, stallLimit: Double(layout.stallLimit)) { world in
      try run(
        configuration, start, command, descriptor, RankPlace(world, ranksOnMachine: count), foresight)
    }
    return summaries[0]
  }

  /// Runs this process's rank of a job that a launcher started. Gives the summary on the first rank, nil on the
  /// others.
  ///
  /// - Parameter configuration: what this process read, or why it could not: all ranks must have the same.
  package static func asProcess(
    _ launch: LaunchEnvironment, _ configuration: Result<Configuration, any Error>, start: RunFolder.Start,
    command: [String], descriptor: Int32 = 1, foresight: StepForesight.Source = .nothing
  ) throws -> TrainingRun.Summary? {
    let stallLimit = (try? configuration.get())?.layout.stallLimit ?? LayoutSection().stallLimit
    let world = try MPIWorld(launch, stallLimit: Double(stallLimit))
    let summary: TrainingRun.Summary
    do {
      let agreed = try RankAgreement.check(configuration, start, world)
      summary = try run(
        agreed, start, command, descriptor, RankPlace(world, ranksOnMachine: world.localSize), foresight)
    } catch {
      // The first rank says why; elsewhere this does not return.
      world.fail("\(error)")
      throw error
    }
    try world.leave()
    return world.rank == 0 ? summary : nil
  }

  private static func run(
    _ configuration: Configuration, _ start: RunFolder.Start, _ command: [String], _ descriptor: Int32,
    _ place: RankPlace, _ foresight: StepForesight.Source
  ) throws -> TrainingRun.Summary {
    try TrainingRun(
      configuration, start: start, command: command, descriptor: descriptor, place: place,
      foresight: foresight
    ).run()
  }
}
