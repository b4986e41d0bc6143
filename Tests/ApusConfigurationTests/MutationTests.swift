import ApusConfiguration
import Foundation
import Testing

/// Damaged files are refused with problems or read to something that survives a round trip; never a crash.
@Suite struct MutationTests {
  /// A small linear congruential generator (Knuth's MMIX constants): the same files on every machine.
  private struct Generator {
    var state: UInt64

    mutating func next(below limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % limit
    }
  }

  private static let scraps = [
    "\n", " ", ":", "-", "[", "]", "{", "}", "\"", "'", "#", "&a", "*a", "!", "|", ">", "?", "%", "0", "-1",
    "1e400", "9223372036854775807", "99999999999999999999", "null", "true", "1e18", "é", "\u{0}", "\t",
    "1048576",
    "16777216", "1000000000", "__", ".", "preset", "global_batch_size: 7", "global_batch_tokens: 1e12",
  ]

  @Test func damagedFiles() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Configurations/gpt2-124m.yaml")
    let original = Array(try String(contentsOf: file, encoding: .utf8).unicodeScalars)
    var random = Generator(state: 20)
    var valid = 0
    for _ in 0..<600 {
      var scalars = original
      for _ in 0...random.next(below: 3) {
        let position = random.next(below: scalars.count)
        let end = min(scalars.count, position + random.next(below: 4))
        scalars.replaceSubrange(
          position..<end, with: Self.scraps[random.next(below: Self.scraps.count)].unicodeScalars)
      }
      var text = String.UnicodeScalarView()
      text.append(contentsOf: scalars)
      do {
        let configuration = try Configuration.parse(yaml: String(text), name: "job.yaml")
        let again = try Configuration.parse(yaml: configuration.resolvedYAML, name: "job.yaml")
        #expect(again == configuration)
        valid += 1
      } catch {
        #expect(!error.problems.isEmpty)
        #expect(error.problems.allSatisfy { !$0.description.contains("\n") && !$0.remedy.isEmpty })
      }
    }
    // Both outcomes are exercised.
    #expect(valid > 20 && valid < 580)
  }
}
