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
  /// that are left over, and the end of short windows, carry no target.
  ///
  /// - Parameter limit: predicted tokens to stop after; nil = all.
  package static func run(
    _ tokens: ValidationTokens, on executor: Executor, sequenceLength: Int, vocabularySize: Int, limit: Int?
  ) throws -> Result {
    let program = executor.program
    guard let targets = program.targets, let tokenLosses = program.tokenLosses else {
      require(false, "the program has no evaluation segment")
      return Result(loss: .nan, tokens: 0, bitsPerByte: nil)
    }
    let rows = program.tokens.count / sequenceLength
    let windows = tokens.windows(length: sequenceLength, limit: limit)
    let (inputs, expected) = (executor.ints(program.tokens), executor.ints(targets))
    var (sum, count) = (0.0, 0)
    for start in stride(from: 0, to: windows.count, by: rows) {
      inputs.update(repeating: 0)
      expected.update(repeating: -1)
      for (row, window) in windows[start..<min(start + rows, windows.count)].enumerated() {
        let file = tokens.files[window.file]
        for (index, position) in window.range.enumerated() {
          inputs[row * sequenceLength + index] = try file.token(position, vocabularySize: vocabularySize)
          expected[row * sequenceLength + index] = try file.token(
            position + 1, vocabularySize: vocabularySize)
        }
        count += window.range.count
      }
      try executor.run(.evaluation)
      sum += executor.floats(tokenLosses).reduce(0) { $0 + Double($1) }
    }
    let loss = sum / Double(max(1, count))
    // The text's bytes are spread evenly over its tokens when only a part is evaluated.
    let bytesPerToken = tokens.bytes.map { Double($0) / Double(max(1, tokens.count)) }
    return Result(loss: loss, tokens: count, bitsPerByte: bytesPerToken.map { loss / log(2) / $0 })
  }
}
