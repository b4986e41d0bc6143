/// One reason why a counted number is not what a closed form says, with its exact share of the difference.
package struct Deviation: Hashable, Sendable, Codable {
  package let reason: String
  /// Counted minus closed form.
  package let count: Int

  /// Those that are not zero.
  static func list(_ entries: [(reason: String, count: Int)]) -> [Deviation] {
    entries.filter { $0.count != 0 }.map { Deviation(reason: $0.reason, count: $0.count) }
  }
}
