import ApusCommunication
import ApusCore
import ApusProgram
import ApusRuntime
import Foundation

/// Mean loss over held-out tokens, through the evaluation segment of the training program.
package struct Validation {
  package struct Result: Hashable, Sendable {
    /// Nats a token.
    package var loss: Double
    package var tokens: Int
    /// Bits a byte of text; nil where the bytes are not known.
    package var bitsPerByte: Double?
  }

  /// Evaluates windows of `executor`'s sequence length, as many rows at once as its micro-batch has. Rows
  /// that are left over, and the end of short windows, carry no target. Replicas take turns; all ranks call this.
  ///
  /// - Parameters:
  ///   - limit: predicted tokens to stop after; nil = all.
  ///   - world: the ranks that train together; nil where there is one.
  package static func run(
    _ tokens: ValidationTokens, on executor: Executor, sequenceLength: Int, vocabularySize: Int, limit: Int?,
    world: (any World)? = nil
  ) throws -> Result {
    let program = executor.program
    guard let targets = program.targets, let tokenLosses = program.tokenLosses else {
      require(false, "the program has no evaluation segment")
      return Result(loss: .nan, tokens: 0, bitsPerByte: nil)
    }
    let rows = program.tokens.count / sequenceLength
    let windows = tokens.windows(length: sequenceLength, limit: limit)
    let (inputs, expected) = (executor.ints(program.tokens), executor.ints(targets))
    let count = windows.reduce(0) { $0 + $1.range.count }
    var sum = 0.0
    let replicas = executor.position.mesh.layout.data
    let replica = executor.position.coordinate(on: .data)
    // Every replica runs as often as the first: the segment may hold collectives.
    for turn in stride(from: 0, to: windows.count, by: rows * replicas) {
      inputs.update(repeating: 0)
      expected.update(repeating: -1)
      let start = min(turn + replica * rows, windows.count)
      for (row, window) in windows[start..<min(start + rows, windows.count)].enumerated() {
        let file = tokens.files[window.file]
        for (index, position) in window.range.enumerated() {
          inputs[row * sequenceLength + index] = try file.token(position, vocabularySize: vocabularySize)
          expected[row * sequenceLength + index] = try file.token(
            position + 1, vocabularySize: vocabularySize)
        }
      }
      try executor.run(.evaluation)
      sum += executor.floats(tokenLosses).reduce(0) { $0 + Double($1) }
    }
    if let world, world.size > 1 {
      // Ranks of one replica have the same sums.
      sum = try world.control.allReduce([sum], label: "validation")[0] / Double(world.size / replicas)
    }
    let loss = sum / Double(max(1, count))
    // The text's bytes are spread evenly over its tokens when only a part is evaluated.
    let bytesPerToken = tokens.bytes.map { Double($0) / Double(max(1, tokens.count)) }
    return Result(loss: loss, tokens: count, bitsPerByte: bytesPerToken.map { loss / log(2) / $0 })
  }
}
