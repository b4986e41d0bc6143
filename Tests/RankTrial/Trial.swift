import ApusCommunication
import ApusCore
import CollectiveCases
import Foundation

/// What a process of the MPI tests does.
///
///     RankTrial cases             every primitive on both planes
///     RankTrial steps STALL       steps of collectives without end; the first rank prints everybody's process
///     RankTrial throw STALL       the same, but the last rank throws at step 5
///     RankTrial speed             seconds of an all-reduce, by size
///     RankTrial idle              processor time that a second takes in which no rank does anything
enum Trial {
  static func run(_ arguments: [String]) -> Int32 {
    guard let launch = LaunchEnvironment(ProcessInfo.processInfo.environment) else {
      FileHandle.standardError.write(Data("RankTrial: no launcher has started this\n".utf8))
      return 2
    }
    let stall = arguments.count > 2 ? Double(arguments[2]) ?? 60 : 60
    do {
      let world = try MPIWorld(launch, stallLimit: stall)
      do {
        try body(world, arguments.count > 1 ? arguments[1] : "")
      } catch {
        world.fail("\(error)")
        FileHandle.standardError.write(Data("apus: rank \(world.rank): \(error)\n".utf8))
        return 1
      }
      try world.leave()
      return 0
    } catch {
      FileHandle.standardError.write(Data("apus: \(error)\n".utf8))
      return 1
    }
  }

  private struct Broken: Error {}

  private static func body(_ world: MPIWorld, _ mode: String) throws {
    switch mode {
    case "cases":
      try CollectiveCases(world.data).runAll()
      try CollectiveCases(world.control).runAll()
      let pair = try world.data.split(colour: world.rank / 2, key: world.rank, name: "pair")
      try CollectiveCases(pair).runAll()
      if world.rank == 0 { say("all cases passed on \(world.size) ranks") }
    case "steps": try steps(world, throwing: false)
    case "throw": try steps(world, throwing: true)
    case "speed": try speed(world)
    case "idle": try idle(world)
    default: throw CaseFailure(description: "unknown trial \(mode)")
    }
  }

  private static func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
  }

  /// All-reduces, some in flight while the rank computes, as a training step has them.
  private static func steps(_ world: MPIWorld, throwing: Bool) throws {
    let processes = try world.control.allGather([Int32(getpid())]).map { $0[0] }
    // From here on the last collective of every rank is one of a step.
    try world.control.barrier(label: "the step's end")
    if world.rank == 0 { say("processes " + processes.map(String.init).joined(separator: " ")) }
    let count = 1 << 18
    let memory = UnsafeMutablePointer<Float>.allocate(capacity: count)
    memory.initialize(repeating: 1, count: count)
    for step in 1...Int.max {
      world.status.begin(step: step)
      if throwing, step == 5, world.rank == world.size - 1 { throw Broken() }
      let pending = try world.data.start(
        Collective(.allReduce, from: memory, to: memory, count: count, type: .float32, label: "gradients"))
      Thread.sleep(forTimeInterval: 0.002)
      try pending.wait()
      for index in 0..<count { memory[index] /= Float(world.size) }
      try world.control.barrier(label: "the step's end")
    }
  }

  private static func idle(_ world: MPIWorld) throws {
    func processorSeconds() -> Double {
      var time = timespec()
      clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
      return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    let before = processorSeconds()
    Thread.sleep(forTimeInterval: 1)
    let used = try world.control.allReduce([processorSeconds() - before], label: "processor time")[0]
    if world.rank == 0 { say("\(used / Double(world.size))") }
  }

  /// The best of five all-reduces a size.
  private static func speed(_ world: MPIWorld) throws {
    for bytes in [4, 4 << 10, 64 << 10, 1 << 20, 25 << 20, 128 << 20] {
      let memory = UnsafeMutablePointer<Float>.allocate(capacity: bytes / 4)
      memory.initialize(repeating: 1, count: bytes / 4)
      var best = Double.infinity
      for _ in 0..<(bytes < 1 << 20 ? 100 : 5) {
        try world.control.barrier()
        let start = DispatchTime.now().uptimeNanoseconds
        try world.data.run(
          Collective(.allReduce, from: memory, to: memory, count: bytes / 4, type: .float32, label: "speed"))
        best = min(best, Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9)
      }
      let rate = (best > 0 ? Double(bytes) / best : 0) / 1e9
      if world.rank == 0 {
        say("\(bytes) bytes: \((best * 1e6).formatted(decimals: 1)) us, \(rate.formatted(decimals: 2)) GB/s")
      }
      memory.deallocate()
    }
  }
}
