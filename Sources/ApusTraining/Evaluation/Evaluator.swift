import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime

/// The loss of every predicted token of a text, in consecutive windows that do not overlap.
package struct Evaluator {
  /// Loss of each predicted token in order, nats, and their mean.
  package struct Result: Sendable {
    package var losses: [Float]

    package var tokens: Int { losses.count }
    package var meanLoss: Double {
      losses.isEmpty ? .nan : losses.reduce(0) { $0 + Double($1) } / Double(losses.count)
    }
  }

  private let configuration: ModelConfiguration
  private let sequenceLength: Int
  private let threads: Int
  private let load: (Executor) throws -> Void

  /// - Parameters:
  ///   - sequenceLength: tokens of a window.
  ///   - load: fills an executor's weights.
  package init(
    _ configuration: ModelConfiguration, sequenceLength: Int, threads: Int,
    load: @escaping (Executor) throws -> Void
  ) {
    self.configuration = configuration
    self.sequenceLength = sequenceLength
    self.threads = threads
    self.load = load
  }

  /// Evaluates `count` tokens given by `token`; the first is only read, so there are `count - 1` losses. The
  /// last window is shorter where the length does not divide.
  package func run(count: Int, token: (Int) throws -> Int32) throws -> Result {
    var losses: [Float] = []
    losses.reserveCapacity(max(0, count - 1))
    let whole = max(0, count - 1) / sequenceLength
    if whole > 0 { try run(0..<whole, length: sequenceLength, token, &losses) }
    let rest = max(0, count - 1) - whole * sequenceLength
    if rest > 0 { try run(whole..<whole + 1, length: rest, token, &losses) }
    return Result(losses: losses)
  }

  private func run(
    _ windows: Range<Int>, length: Int, _ token: (Int) throws -> Int32, _ losses: inout [Float]
  ) throws {
    let program = StepProgram.evaluation(configuration, microBatchSize: 1, sequenceLength: length)
    let executor = try Executor(program, threads: threads)
    try load(executor)
    guard let targets = program.targets, let tokenLosses = program.tokenLosses else {
      require(false, "the program is not an evaluation")
      return
    }
    let (inputs, expected) = (executor.ints(program.tokens), executor.ints(targets))
    for window in windows {
      let first = window * sequenceLength
      for index in 0..<length {
        inputs[index] = try token(first + index)
        expected[index] = try token(first + index + 1)
      }
      try executor.run(.evaluation)
      losses.append(contentsOf: executor.floats(tokenLosses))
    }
  }
}
