/// Splits texts into pre-tokens by a list of rules, each inside the pieces of the one before. For one thread:
/// regular expressions match in memory of their own.
package final class PreTokenizer {
  private enum Step {
    case gpt2
    case llama3(maximumDigits: Int)
    case pattern(PatternMatcher)
  }

  private let steps: [Step]

  /// `patterns` holds one compiled expression for each rule that is a `pattern`, in order.
  package init(_ rules: [SplitRule], patterns: [CompiledPattern]) {
    var next = patterns.makeIterator()
    steps = rules.map { rule in
      switch rule {
      case .gpt2: .gpt2
      case .llama3(let digits): .llama3(maximumDigits: digits)
      case .pattern: .pattern(PatternMatcher(next.next()!))
      }
    }
  }

  /// Compiles the expressions of the rules that need it.
  package static func compile(_ rules: [SplitRule]) throws(PatternProblem) -> [CompiledPattern] {
    var compiled: [CompiledPattern] = []
    for case .pattern(let pattern) in rules { compiled.append(try CompiledPattern(pattern)) }
    return compiled
  }

  /// Calls the body with the start and the byte count of each pre-token.
  @inline(__always)
  package func split(_ bytes: UnsafeBufferPointer<UInt8>, _ body: (UnsafePointer<UInt8>, Int) -> Void) {
    guard let base = bytes.baseAddress, bytes.count > 0 else { return }
    guard steps.count == 1 else { return split(bytes, from: 0, body) }
    ScalarClass.table.withUnsafeBufferPointer { table in
      let text = ClassifiedText(bytes: base, end: bytes.count, table: table.baseAddress!)
      var start = 0
      switch steps[0] {
      case .gpt2:
        while start < text.end {
          let end = text.endOfGPT2Split(from: start)
          body(base + start, end - start)
          start = end
        }
      case .llama3(let digits):
        while start < text.end {
          let end = text.endOfLlama3Split(from: start, maximumDigits: digits)
          body(base + start, end - start)
          start = end
        }
      case .pattern(let matcher):
        matcher.split(bytes) { body(base + $0, $1 - $0) }
      }
    }
  }

  /// The general case: any number of rules.
  @inline(never)
  private func split(
    _ bytes: UnsafeBufferPointer<UInt8>, from step: Int, _ body: (UnsafePointer<UInt8>, Int) -> Void
  ) {
    let base = bytes.baseAddress!
    guard step < steps.count else { return body(base, bytes.count) }
    func inner(_ start: Int, _ end: Int) {
      split(UnsafeBufferPointer(start: base + start, count: end - start), from: step + 1, body)
    }
    if case .pattern(let matcher) = steps[step] { return matcher.split(bytes, inner) }
    ScalarClass.table.withUnsafeBufferPointer { table in
      let text = ClassifiedText(bytes: base, end: bytes.count, table: table.baseAddress!)
      var start = 0
      while start < text.end {
        let end =
          if case .llama3(let digits) = steps[step] {
            text.endOfLlama3Split(from: start, maximumDigits: digits)
          } else {
            text.endOfGPT2Split(from: start)
          }
        inner(start, end)
        start = end
      }
    }
  }
}
