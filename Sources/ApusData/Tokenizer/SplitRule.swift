/// How a text falls into pre-tokens, inside which byte pairs merge. Every byte belongs to one pre-token.
package enum SplitRule: Hashable, Sendable {
  /// The rule of GPT-2: contractions, words, numbers and signs, each with one leading space.
  case gpt2
  /// The rule of Llama 3 and GPT-4: any one leading character before words, numbers in groups of
  /// `maximumDigits` digits, newlines apart from spaces.
  case llama3(maximumDigits: Int)
  /// Any other regular expression: matches and what lies between them.
  case pattern(String)

  /// The rule of GPT-2 as a regular expression.
  static let gpt2Pattern =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
  private static let gpt2Short = #"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
  private static let llama3Start = #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"#
  private static let llama3End = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  /// The rule that a regular expression means; the two common ones run as hand-written code.
  package init(pattern: String) {
    if pattern == Self.gpt2Pattern || pattern == Self.gpt2Short {
      self = .gpt2
      return
    }
    if pattern.hasPrefix(Self.llama3Start), pattern.hasSuffix(Self.llama3End) {
      let numbers = pattern.dropFirst(Self.llama3Start.count).dropLast(Self.llama3End.count)
      if numbers == #"\p{N}"# {
        self = .llama3(maximumDigits: 1)
        return
      }
      if numbers == #"\p{N}+"# {
        self = .llama3(maximumDigits: .max)
        return
      }
      if numbers.hasPrefix(#"\p{N}{1,"#), numbers.hasSuffix("}"),
        let digits = Int(numbers.dropFirst(8).dropLast()), digits > 0
      {
        self = .llama3(maximumDigits: digits)
        return
      }
    }
    self = .pattern(pattern)
  }

  /// The rule as a regular expression.
  package var pattern: String {
    switch self {
    case .gpt2: return Self.gpt2Pattern
    case .llama3(let digits):
      let numbers = digits == 1 ? #"\p{N}"# : digits == .max ? #"\p{N}+"# : "\\p{N}{1,\(digits)}"
      return Self.llama3Start + numbers + Self.llama3End
    case .pattern(let pattern): return pattern
    }
  }
}
