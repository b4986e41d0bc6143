import ApusCore
import ApusModels
import ApusProgram

/// Which layouts are verified: every structure of up to so many ranks, with options spread over them so that every
/// two values of two options that can meet do meet somewhere.
package struct VerificationPlan {
  package private(set) var cases: [VerificationCase] = []
  /// Pairs of option values that can meet, and those that do.
  package private(set) var pairs = 0
  package var coveredPairs: Int { pairs - open.count }

  private var open: Set<Pair> = []
  private var seen: Set<VerificationCase> = []

  /// One value of one option.
  private struct Feature: Hashable, Comparable {
    let option: String
    let value: String
    static func < (a: Feature, b: Feature) -> Bool { (a.option, a.value) < (b.option, b.value) }
  }

  private struct Pair: Hashable {
    let first, second: Feature
    init(_ a: Feature, _ b: Feature) { (first, second) = a < b ? (a, b) : (b, a) }
  }

  /// An option that a case can take values of.
  private struct Option: Sendable {
    let name: String
    let count: Int
    /// The value's name in a case; nil where the option has no effect there.
    let value: @Sendable (VerificationCase) -> String?
    let set: @Sendable (inout VerificationCase, Int) -> Void
  }

  /// - Parameters:
  ///   - minimum: cases at least; further ones repeat structures with other options.
  package init(
    models: [(name: String, model: ModelConfiguration)] = VerificationCase.models, maximumRanks: Int,
    minimum: Int = 200
  ) {
    let structures = models.flatMap { Self.structures($0.name, $0.model, maximumRanks) }
    for structure in structures { open.formUnion(Self.possiblePairs(structure)) }
    pairs = open.count
    // Every structure once in float32, where the tolerances are narrowest.
    for (index, structure) in structures.enumerated() {
      append(filled(structure, turn: index, without: "precision"))
    }
    for structure in structures {
      while let best = bestFor(structure) { append(best) }
    }
    var turn = 0
    while cases.count < minimum, turn < 20 * minimum {
      append(filled(structures[turn % structures.count], turn: turn / structures.count + turn))
      turn += 1
    }
  }

  private mutating func append(_ new: VerificationCase) {
    guard seen.insert(new).inserted else { return }
    cases.append(new)
    open.subtract(Self.pairs(Self.features(new)))
  }

  /// Options chosen one after the other, each to make as many new pairs as possible.
  ///
  /// - Parameter without: an option that keeps its first value.
  private func filled(_ structure: VerificationCase, turn: Int, without: String? = nil) -> VerificationCase {
    var chosen = structure
    for (number, option) in Self.options.enumerated() where option.name != without {
      var best = (gain: -1, value: 0)
      for step in 0..<option.count {
        let value = (step + turn + number) % option.count
        var candidate = chosen
        option.set(&candidate, value)
        let gain = Self.pairs(Self.features(candidate)).count { open.contains($0) }
        if gain > best.gain { best = (gain, value) }
      }
      option.set(&chosen, best.value)
    }
    return chosen
  }

  /// A case of this structure that covers an open pair; nil where there is none.
  private func bestFor(_ structure: VerificationCase) -> VerificationCase? {
    var best: (gain: Int, candidate: VerificationCase)?
    for turn in 0..<12 {
      let candidate = filled(structure, turn: turn)
      let gain = Self.pairs(Self.features(candidate)).count { open.contains($0) }
      if gain > best?.gain ?? 0 { best = (gain, candidate) }
    }
    return best?.candidate
  }

  // MARK: What there is

  /// Every combination of degrees and of what is sharded, of 2 up to `maximumRanks` ranks, and one rank.
  private static func structures(
    _ name: String, _ model: ModelConfiguration, _ maximumRanks: Int
  ) -> [VerificationCase] {
    let length = VerificationCase.sequenceLength(model, maximumRanks: maximumRanks)
    var result = [VerificationCase(name, model, ParallelLayout(), sequenceLength: length)]
    for tensor in 1...maximumRanks where model.tensorDegreeProblem(tensor) == nil {
      for data in 1...maximumRanks where data * tensor > 1 && data * tensor <= maximumRanks {
        for zeroStage in 0...(data > 1 ? 3 : 0) {
          let parts: [Int?] = zeroStage == 0 ? [nil] : [nil] + (2..<data).filter { data.isMultiple(of: $0) }
          for shardDegree in parts {
            for sequenceParallel in tensor > 1 ? [false, true] : [false] {
              let layout = ParallelLayout(
                data: data, tensor: tensor, zeroStage: zeroStage, shardDegree: shardDegree,
                sequenceParallel: sequenceParallel)
              result.append(VerificationCase(name, model, layout, sequenceLength: length))
            }
          }
        }
      }
    }
    return result
  }

  private static let structural: [(name: String, value: @Sendable (VerificationCase) -> String)] = [
    ("model", { $0.name }), ("data", { "\($0.layout.data)" }), ("tensor", { "\($0.layout.tensor)" }),
    ("zero", { "\($0.layout.zeroStage)" }), ("shards", { $0.layout.shardDegree == nil ? "all" : "groups" }),
    ("sequence parallel", { "\($0.layout.sequenceParallel)" }),
  ]

  private static let options: [Option] = [
    Option(
      name: "synchronisation", count: 3,
      value: { $0.layout.data > 1 ? $0.communication.gradients.rawValue : nil },
      set: {
        if $0.layout.data > 1 {
          $0.communication.gradients = CommunicationPolicy.GradientSynchronisation.allCases[$1]
        }
      }),
    Option(
      name: "accumulation", count: 3, value: { "\($0.accumulation)" }, set: { $0.accumulation = $1 + 1 }),
    Option(
      name: "recomputation", count: VerifiedRecomputation.allCases.count,
      value: { $0.recomputation.rawValue }, set: { $0.recomputation = VerifiedRecomputation.allCases[$1] }),
    Option(
      name: "precision", count: VerificationCase.precisions.count, value: { $0.precision.name },
      set: { $0.precision = VerificationCase.precisions[$1] }),
    Option(
      name: "micro-batch", count: 2, value: { "\($0.microBatchSize)" }, set: { $0.microBatchSize = $1 + 1 }),
    Option(
      name: "gathered inputs", count: 2,
      value: { $0.layout.sequenceParallel ? "\($0.communication.keepsGatheredInputs)" : nil },
      set: { if $0.layout.sequenceParallel { $0.communication.keepsGatheredInputs = $1 == 0 } }),
    Option(
      name: "bucket", count: 2, value: { $0.hasBuckets ? "\($0.communication.bucketByteCount)" : nil },
      set: { if $0.hasBuckets { $0.communication.bucketByteCount = [2_000, 25 << 20][$1] } }),
    Option(
      name: "prefetch", count: 3, value: { $0.prefetches ? "\($0.communication.prefetchedUnits)" : nil },
      set: { if $0.prefetches { $0.communication.prefetchedUnits = $1 } }),
  ]

  private static func features(_ c: VerificationCase) -> [Feature] {
    structural.map { Feature(option: $0.name, value: $0.value(c)) }
      + options.compactMap { option in option.value(c).map { Feature(option: option.name, value: $0) } }
  }

  private static func pairs(_ features: [Feature]) -> [Pair] {
    features.indices.flatMap { a in features[(a + 1)...].map { Pair(features[a], $0) } }
  }

  /// Pairs that some choice of options gives this structure: options depend on each other at most in pairs with
  /// the synchronisation, which is taken through all its values.
  private static func possiblePairs(_ structure: VerificationCase) -> Set<Pair> {
    var result: Set<Pair> = []
    for synchronisation in 0..<options[0].count {
      var base = structure
      options[0].set(&base, synchronisation)
      var variants = [features(base)]
      for a in 1..<options.count {
        for x in 0..<options[a].count {
          var first = base
          options[a].set(&first, x)
          for b in (a + 1)..<max(a + 1, options.count) {
            for y in 0..<options[b].count {
              var second = first
              options[b].set(&second, y)
              variants.append(features(second))
            }
          }
        }
      }
      for variant in variants { result.formUnion(pairs(variant)) }
    }
    return result
  }
}
