import Foundation
import Testing

/// Processes joined by Open MPI. Skipped where mpirun is not installed.
@Suite(.serialized, .enabled(if: MPIJobRun.launcher != nil, "mpirun is not installed"))
struct MPITests {
  @Test(arguments: [2, 3])
  func everyPrimitive(ranks: Int) throws {
    let job = try MPIJobRun(ranks, "cases")
    #expect(job.launcherStatus(limit: 60) == 0, "\(job.errors)")
    #expect(job.output == "all cases passed on \(ranks) ranks\n")
  }

  /// Nothing spins beside the computing threads: neither the transfers' thread nor the watch, whose ranks must not
  /// answer each other's reports at once.
  @Test func ranksThatDoNothingTakeNoProcessor() throws {
    let job = try MPIJobRun(3, "idle")
    #expect(job.launcherStatus(limit: 60) == 0, "\(job.errors)")
    let share = try #require(Double(job.output.trimmingCharacters(in: .whitespacesAndNewlines)))
    #expect(share < 0.1)
  }

  /// A rank is killed at a random moment; the launcher leaves the others alone, which end by themselves.
  @Test(arguments: [0, 1, 2])
  func aKilledRankEndsTheOthers(victim: Int) throws {
    let job = try MPIJobRun(3, "steps 60", recovery: true)
    let processes = job.processes()
    try #require(processes.count == 3, "\(job.errors)")
    Thread.sleep(forTimeInterval: .random(in: 0...0.4))
    kill(processes[victim], SIGKILL)
    let survivors = [0, 1, 2].filter { $0 != victim }
    let statuses = job.statuses(of: survivors, limit: 10)
    #expect(statuses == [survivors[0]: 70, survivors[1]: 70])
    let verdicts = job.verdicts()
    try #require(verdicts.count == 1, "\(job.errors)")
    let line = verdicts[0]
    #expect(line.hasPrefix("apus: rank \(victim) failed at step ") || line.contains("before the first step"))
    #expect(
      line.contains("all-reduce of gradients (world)") || line.contains("barrier of the step's end"), "\(line)")
  }

  /// A rank is stopped at a random moment: it is not gone, but gives no sign of life.
  @Test(arguments: [0, 1])
  func aStoppedRankEndsTheOthers(victim: Int) throws {
    let job = try MPIJobRun(2, "steps 1", recovery: true)
    let processes = job.processes()
    try #require(processes.count == 2, "\(job.errors)")
    Thread.sleep(forTimeInterval: .random(in: 0...0.4))
    kill(processes[victim], SIGSTOP)
    let statuses = job.statuses(of: [1 - victim], limit: 10)
    kill(processes[victim], SIGKILL)
    #expect(statuses == [1 - victim: 70])
    let verdicts = job.verdicts()
    try #require(verdicts.count == 1, "\(job.errors)")
    let line = verdicts[0]
    #expect(
      line.hasPrefix("apus: rank \(victim) has stalled at step ")
        || line.hasPrefix("apus: rank \(victim) has stalled before the first step"))
  }

  @Test func aRankThatThrowsEndsTheOthers() throws {
    let job = try MPIJobRun(3, "throw 60", recovery: true)
    let statuses = job.statuses(of: [0, 1, 2], limit: 20)
    #expect(statuses.count == 3)
    #expect(statuses.values.allSatisfy { $0 != 0 })
    let verdicts = job.verdicts()
    #expect(verdicts.count == 1, "\(job.errors)")
    #expect(
      verdicts.first?.hasPrefix("apus: rank 2 failed at step 5, after barrier of the step's end") == true)
  }
}
