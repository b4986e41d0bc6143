import Foundation

/// How the next token is chosen from its logits.
package struct Sampling: Hashable, Sendable {
  /// Divides the logits; 0 = always the likeliest token.
  package var temperature: Double
  /// Only the k likeliest tokens; 0 = all.
  package var topK: Int
  /// Only the likeliest tokens that together reach this probability (Holtzman et al. 2020); 1 = all.
  package var topP: Double
  package var seed: UInt64

  package init(temperature: Double = 1, topK: Int = 0, topP: Double = 1, seed: UInt64 = 0) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.seed = seed
  }

  package static let greedy = Sampling(temperature: 0)
}

/// Draws tokens; the same seed and logits give the same tokens.
package struct TokenChooser {
  private let sampling: Sampling
  private var random: SplitMix64

  package init(_ sampling: Sampling) {
    self.sampling = sampling
    random = SplitMix64(state: sampling.seed)
  }

  package mutating func choose(_ logits: UnsafeMutableBufferPointer<Float>) -> Int32 {
    var likeliest = 0
    for index in 1..<max(1, logits.count) where logits[index] > logits[likeliest] { likeliest = index }
    guard sampling.temperature > 0 else { return Int32(likeliest) }
    let maximum = Double(logits[likeliest])
    var candidates = logits.indices.map { index in
      (index: index, weight: exp((Double(logits[index]) - maximum) / sampling.temperature))
    }
    if sampling.topK > 0 || sampling.topP < 1 {
      candidates.sort { ($0.weight, $1.index) > ($1.weight, $0.index) }
      if sampling.topK > 0 { candidates = Array(candidates.prefix(sampling.topK)) }
      if sampling.topP < 1 {
        let enough = sampling.topP * candidates.reduce(0) { $0 + $1.weight }
        var sum = 0.0
        let end =
          candidates.firstIndex {
            sum += $0.weight
            return sum >= enough
          } ?? candidates.count - 1
        candidates = Array(candidates.prefix(end + 1))
      }
    }
    var point = Double.random(in: 0..<1, using: &random) * candidates.reduce(0) { $0 + $1.weight }
    for candidate in candidates {
      point -= candidate.weight
      if point < 0 { return Int32(candidate.index) }
    }
    return Int32(candidates[candidates.count - 1].index)
  }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
