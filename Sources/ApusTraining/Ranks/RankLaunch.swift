import ApusCommunication
import ApusConfiguration
import ApusCore
import Foundation

/// Runs the ranks of a layout wherever they are: as threads of this process, or, where a launcher has started this
/// process, as this process's rank.
package enum RankLaunch {
  /// Runs `body` on every rank. Gives the first rank's result; nil in processes of other ranks.
  package static func run<Result: Sendable>(
    _ layout: LayoutSection, _ launch: LaunchEnvironment?,
    _ body: @escaping @Sendable (RankPlace) throws -> Result
  ) throws -> Result? {
    let count = layout.ranks.worldSize
    let stallLimit = Double(layout.stallLimit)
    guard let launch, launch.size > 1 else {
      if count == 1 { return try body(.alone()) }
      return try LocalRanks.run(count, stallLimit: stallLimit) { world in
        try body(RankPlace(world, ranksOnMachine: count))
      }[0]
    }
    let world = try MPIWorld(launch, stallLimit: stallLimit)
    let result: Result
    do {
      guard count == world.size else {
        throw CommunicationError.launch(
          "the layout has \(count) ranks, but \(world.size) processes were started; start \(count)")
      }
      result = try body(RankPlace(world, ranksOnMachine: world.localSize))
    } catch {
      world.fail("\(error)")
      throw error
    }
    try world.leave()
    return world.rank == 0 ? result : nil
  }
}
