import ApusCore
import CPCRE2

/// A regular expression compiled by PCRE2 to mean what it means in `tokenizers` (Oniguruma, Ruby's syntax).
///
/// What the two libraries understand differently is either rewritten (`PatternTranslation`) or refused. One
/// difference stays: PCRE2 knows the letters of its own Unicode version (14 in release 10.42).
///
/// Safe to share between threads because a compiled PCRE2 pattern is never changed by matching; each thread
/// matches with a `PatternMatcher` of its own.
package final class CompiledPattern: @unchecked Sendable {
  fileprivate let code: OpaquePointer

  init(_ pattern: String) throws(PatternProblem) {
    let translated = Array(try PatternTranslation.translate(pattern).utf8)
    var (status, offset): (Int32, Int) = (0, 0)
    let context = pcre2_compile_context_create_8(nil)
    defer { pcre2_compile_context_free_8(context) }
    pcre2_set_newline_8(context, UInt32(PCRE2_NEWLINE_LF))
    // Ruby's ^ and $ always stand for the edges of lines.
    let options = UInt32(PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_MATCH_INVALID_UTF)
    guard let code = pcre2_compile_8(translated, translated.count, options, &status, &offset, context) else {
      var text = [UInt8](repeating: 0, count: 256)
      let count = max(0, pcre2_get_error_message_8(status, &text, text.count))
      throw PatternProblem(description: String(decoding: text[0..<Int(count)], as: UTF8.self))
    }
    pcre2_jit_compile_8(code, UInt32(PCRE2_JIT_COMPLETE))
    self.code = code
  }

  deinit { pcre2_code_free_8(code) }
}

/// Why a pattern cannot be used.
package struct PatternProblem: Error, CustomStringConvertible {
  package var description: String
}

/// One thread's working memory for matching.
final class PatternMatcher {
  private let pattern: CompiledPattern
  private let data: OpaquePointer
  private let context: OpaquePointer
  private let stack: OpaquePointer?

  init(_ pattern: CompiledPattern) {
    self.pattern = pattern
    guard let data = pcre2_match_data_create_from_pattern_8(pattern.code, nil),
      let context = pcre2_match_context_create_8(nil)
    else { fatalError("PatternMatcher: out of memory") }
    (self.data, self.context) = (data, context)
    stack = pcre2_jit_stack_create_8(32 << 10, 64 << 20, nil)
    pcre2_jit_stack_assign_8(context, nil, UnsafeMutableRawPointer(stack))
    pcre2_set_match_limit_8(context, .max)
    pcre2_set_depth_limit_8(context, .max)
  }

  deinit {
    pcre2_jit_stack_free_8(stack)
    pcre2_match_context_free_8(context)
    pcre2_match_data_free_8(data)
  }

  /// Calls the body with the end of each piece of a text: the matches and what lies between them.
  func split(_ bytes: UnsafeBufferPointer<UInt8>, _ body: (_ start: Int, _ end: Int) -> Void) {
    guard let base = bytes.baseAddress else { return }
    var (previous, search) = (0, 0)
    while search <= bytes.count {
      let status = pcre2_match_8(pattern.code, base, bytes.count, search, 0, data, context)
      if status == PCRE2_ERROR_NOMATCH { break }
      require(status > 0, "PatternMatcher: PCRE2 stopped with error \(status) on \(bytes.count) bytes")
      let offsets = pcre2_get_ovector_pointer_8(data)!
      let (start, end) = (max(offsets[0], previous), offsets[1])
      if start > previous { body(previous, start) }
      if end > start {
        body(start, end)
        (previous, search) = (end, end)
      } else {
        previous = start
        search =
          start < bytes.count ? start + decodeScalar(base, at: start, end: bytes.count).count : start + 1
      }
    }
    if previous < bytes.count { body(previous, bytes.count) }
  }
}
