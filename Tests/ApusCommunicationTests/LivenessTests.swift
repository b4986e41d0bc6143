import ApusCommunication
import Testing

@Suite struct LivenessTests {
  @Test func messagesSurviveTheWire() {
    let activity = RankActivity(step: 3, collective: "all-reduce of a (data)", hasLeft: false)
    let messages: [LivenessMessage] = [
      .hello(rank: 2, secret: "abc"), .goodbye, .failure("no\tspace\nleft"), .verdict("over"),
      .report(RankReport(activity: activity, begun: 9, errand: "", age: 0.25)),
    ]
    for message in messages {
      let back = LivenessMessage(line: String(message.line.dropLast()))
      #expect(back == (message == .failure("no\tspace\nleft") ? .failure("no space left") : message))
    }
    #expect(LivenessMessage(line: "R\t1") == nil)
  }

  private func judge(_ reports: RankReport...) -> CommunicationError? {
    var judge = StallJudge(limit: 10, size: reports.count)
    for (rank, report) in reports.enumerated() { judge.reports[rank] = report }
    return judge.verdict(gone: [])
  }

  private func waiting(_ age: Double, begun: Int = 1) -> RankReport {
    RankReport(
      activity: RankActivity(step: 1, collective: "barrier (\(begun))", hasLeft: false), begun: begun,
      age: age)
  }

  private func computing(_ age: Double, errand: String = "") -> RankReport {
    RankReport(activity: RankActivity(step: 1, collective: "x", hasLeft: true), errand: errand, age: age)
  }

  @Test func aRankThatStaysAwayHasStalled() {
    #expect(judge(waiting(5), computing(50)) == nil)
    #expect(judge(waiting(11), computing(5)) == nil)
    #expect(judge(computing(50), computing(50)) == nil)
    #expect(judge(waiting(11), computing(11, errand: "writing a checkpoint")) == nil)
    guard case .rankStalled(let rank, _, let waitingIn, let seconds)? = judge(waiting(11), computing(12))
    else {
      Issue.record("no stall seen")
      return
    }
    #expect((rank, waitingIn, seconds) == (1, "barrier (1)", 10))
  }

  @Test func ranksThatWaitForEachOtherHaveStalled() {
    #expect(judge(waiting(11, begun: 5), waiting(9, begun: 4)) == nil)
    guard case .rankStalled(let rank, _, _, _)? = judge(waiting(11, begun: 5), waiting(11, begun: 4)) else {
      Issue.record("no stall seen")
      return
    }
    #expect(rank == 1)
  }

  @Test func launchersAreRecognised() {
    let open = LaunchEnvironment([
      "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
      "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    ])
    #expect(open?.launcher == "mpirun")
    #expect([open?.rank, open?.size, open?.localRank, open?.localSize] == [3, 8, 1, 2])
    let slurm = LaunchEnvironment([
      "SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "16", "SLURM_LOCALID": "1", "SLURM_NTASKS": "16",
    ])
    #expect(slurm?.launcher == "srun")
    #expect([slurm?.rank, slurm?.size, slurm?.localRank, slurm?.localSize] == [5, 16, 1, nil])
    // The batch script of a job is no step.
    #expect(LaunchEnvironment(["SLURM_PROCID": "0", "SLURM_NTASKS": "16"]) == nil)
    #expect(LaunchEnvironment([:]) == nil)
  }
}
