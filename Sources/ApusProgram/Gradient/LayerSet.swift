/// Layers of a model, counted from 0, as a user writes them: `0-5,8`.
public struct LayerSet: Hashable, Sendable, Codable, CustomStringConvertible {
  /// Ascending, none touching the next.
  public private(set) var ranges: [ClosedRange<Int>] = []

  /// - Parameter layers: in any order; a layer named twice counts once.
  public init(_ layers: some Sequence<Int>) {
    for layer in Set(layers).sorted() {
      if let last = ranges.last, last.upperBound + 1 == layer {
        ranges[ranges.count - 1] = last.lowerBound...layer
      } else {
        ranges.append(layer...layer)
      }
    }
  }

  /// The most layers that a text may name.
  private static let most = 1 << 20

  /// Reads numbers and ascending ranges between commas; nil for anything else.
  public init?(text: String) {
    var layers: Set<Int> = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.filter { $0 != " " }.split(separator: "-", omittingEmptySubsequences: false)
        .map { Int($0) }
      guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first >= 0,
        first <= last, last < Self.most
      else { return nil }
      layers.formUnion(first...last)
    }
    self.init(layers)
  }

  public func contains(_ layer: Int) -> Bool { ranges.contains { $0.contains(layer) } }

  /// The highest layer named; nil for an empty set.
  public var highest: Int? { ranges.last?.upperBound }

  /// A layer that both sets name.
  func common(with other: LayerSet) -> Int? {
    for range in ranges {
      if let hit = other.ranges.first(where: { $0.overlaps(range) }) {
        return max(hit.lowerBound, range.lowerBound)
      }
    }
    return nil
  }

  public var description: String {
    ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
      .joined(separator: ",")
  }
}

extension LayerSet {
  /// The first layer that two of the rules name, with the positions of those rules.
  package static func overlap(_ rules: [LayerRecomputation]) -> (layer: Int, first: Int, second: Int)? {
    for second in rules.indices {
      for first in 0..<second {
        if let layer = rules[first].layers.common(with: rules[second].layers) {
          return (layer, first, second)
        }
      }
    }
    return nil
  }
}
