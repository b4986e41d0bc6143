import ApusCommunication
import ApusCore
import ApusRuntime

/// Where a rank of a run is: the world of all ranks, and how many of them share its machine.
package struct RankPlace: Sendable {
  package let world: any World
  /// Ranks on this machine, which divide its cores and its memory.
  package let ranksOnMachine: Int

  package init(_ world: any World, ranksOnMachine: Int) {
    self.world = world
    self.ranksOnMachine = ranksOnMachine
  }

  /// The only rank.
  package static func alone() -> RankPlace { RankPlace(LocalWorld.alone(), ranksOnMachine: 1) }

  /// Whether this is the rank that speaks, prepares the data and writes what is written once.
  package var isFirst: Bool { world.rank == 0 }

  package var isAlone: Bool { world.size == 1 }

  /// Threads of this rank: as many as asked for, or an equal part of the machine's cores.
  package func threads(asked: Int) -> Int { Self.threads(asked: asked, ranksOnMachine: ranksOnMachine) }

  package static func threads(asked: Int, ranksOnMachine: Int) -> Int {
    asked > 0 ? asked : max(1, ArithmeticLibrary.defaultThreads / ranksOnMachine)
  }

  /// This rank's groups along the axes of a mesh. All ranks call it.
  package func groups(_ mesh: Mesh) throws(CommunicationError) -> RankGroups {
    isAlone ? .single : try RankGroups(mesh, world: world.data)
  }

  /// Runs `body` on the first rank alone, while the others wait for it to be over.
  package func firstAlone<Result>(_ errand: String, _ body: () throws -> Result) throws -> Result? {
    let result = isFirst ? try world.status.onErrand(errand, body) : nil
    try world.control.barrier(label: errand)
    return result
  }
}
