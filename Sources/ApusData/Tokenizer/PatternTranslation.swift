/// Rewrites a regular expression from Oniguruma's Ruby syntax to PCRE2, as far as both can mean the same.
enum PatternTranslation {
  // White_Space as ranges, and its complement: PCRE2's own \s also takes U+180E.
  private static let spaces =
    #"\x09-\x0d\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"#
  private static let others =
    #"\x00-\x08\x0e-\x1f\x21-\x84\x86-\x9f\xa1-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}"#
    + #"\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{d7ff}\x{e000}-\x{10ffff}"#

  static func translate(_ pattern: String) throws(PatternProblem) -> String {
    let scalars = Array(pattern.unicodeScalars)
    var output = String.UnicodeScalarView()
    var (index, inClass) = (0, false)
    func follows(_ offset: Int, _ scalar: Unicode.Scalar) -> Bool {
      index + offset < scalars.count && scalars[index + offset] == scalar
    }
    while index < scalars.count {
      let scalar = scalars[index]
      switch scalar {
      case "\\":
        guard index + 1 < scalars.count else { throw refused("a backslash at its end") }
        output.append(contentsOf: try escape(scalars, &index, inClass).unicodeScalars)
        continue
      case "[":
        if inClass { throw refused("a class inside a class") }
        inClass = true
        if follows(1, "]") || (follows(1, "^") && follows(2, "]")) { throw refused("] first in a class") }
      case "]": inClass = false
      case "&": if inClass, follows(1, "&") { throw refused("&& in a class") }
      case "}":
        if !inClass, follows(1, "+") { throw refused("+ after {n,m}, which is not possessive there") }
      case "(":
        if !inClass, follows(1, "?") {
          guard ["i", ":", "=", "!", "<", ">"].contains(where: { follows(2, $0) }) else {
            throw refused("a group (?\(index + 2 < scalars.count ? String(scalars[index + 2]) : "")")
          }
          if follows(2, "i"), !follows(3, ":") && !follows(3, ")") {
            throw refused("options other than (?i)")
          }
        } else if !inClass, follows(1, "*") {
          throw refused("(*")
        }
      default: break
      }
      output.append(scalar)
      index += 1
    }
    return String(output)
  }

  private static func refused(_ what: String) -> PatternProblem {
    PatternProblem(description: "uses \(what), which Apus does not follow exactly")
  }

  /// Translates the escape at `index` and moves past it.
  private static func escape(
    _ scalars: [Unicode.Scalar], _ index: inout Int, _ inClass: Bool
  ) throws(PatternProblem) -> String {
    let kind = scalars[index + 1]
    defer { index += 2 }
    switch kind {
    case "s": return inClass ? spaces : "[\(spaces)]"
    case "S": return inClass ? others : "[\(others)]"
    case "v": return "\\x0b"
    case "p", "P", "x":
      guard index + 2 < scalars.count, scalars[index + 2] == "{" else { return "\\\(kind)" }
      guard let close = scalars[index...].firstIndex(of: "}") else { throw refused("\\\(kind){ without }") }
      defer { index = close - 1 }
      return String(String.UnicodeScalarView(scalars[index...close]))
    case "r", "n", "t", "f", "d", "D": return "\\\(kind)"
    case "A" where !inClass, "z" where !inClass: return "\\\(kind)"
    case "u":
      guard index + 6 <= scalars.count,
        scalars[index + 2..<index + 6].allSatisfy(\.properties.isASCIIHexDigit)
      else { throw refused("\\u without four digits") }
      defer { index += 4 }
      return "\\x{\(String(String.UnicodeScalarView(scalars[index + 2..<index + 6])))}"
    default:
      // Letters and digits mean classes, anchors or references that differ or depend on Unicode versions.
      guard kind.isASCII, !kind.properties.isAlphabetic, !("0"..."9").contains(kind) else {
        throw refused("\\\(kind)")
      }
      return "\\\(kind)"
    }
  }
}
