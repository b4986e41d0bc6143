import ApusCore

/// Which tokens each training sample reads: a pure function of the seed and the sample's index, so that every
/// rank, restart and layout sees the same samples without any state.
///
/// A sample is a window of `sequenceLength` inputs and the same number of targets, one token further. Each
/// epoch of a source reads its windows side by side, so every token is an input once, up to a remainder of
/// less than two sequences. With `shuffle`, an epoch permutes its windows and shifts them all by an offset
/// of its own; without, windows follow each other from position 0. Several sources mix by their weights;
/// without weights and without `shuffle` they are read one after the other, as an evaluation wants.
package struct Sampler: Sendable {
  /// Where a sample lies.
  package struct Window: Hashable, Sendable {
    /// The source's index.
    package var source: Int
    /// How often the source was read before.
    package var epoch: Int
    /// The position of the first input in the source's tokens.
    package var start: Int
  }

  package let sequenceLength: Int
  package let shuffle: Bool
  /// Windows of each source in one epoch.
  package let windowCounts: [Int]
  private let tokenCounts: [Int]
  private let seed: UInt64
  private let order: MixtureOrder?

  /// `weights` are relative; by default each source counts by its tokens. Every source needs at least
  /// `sequenceLength` + 1 tokens.
  package init(
    tokenCounts: [Int], weights: [Double]? = nil, sequenceLength: Int, seed: UInt64, shuffle: Bool
  ) {
    require(
      !tokenCounts.isEmpty && sequenceLength > 0,
      "Sampler: \(tokenCounts.count) sources, \(sequenceLength) tokens")
    require(
      tokenCounts.allSatisfy { $0 > sequenceLength },
      "Sampler: sources of \(tokenCounts) tokens for sequences of \(sequenceLength)")
    let shares = weights ?? tokenCounts.map(Double.init)
    require(
      shares.count == tokenCounts.count, "Sampler: \(shares.count) weights for \(tokenCounts.count) sources")
    (self.tokenCounts, self.sequenceLength, self.seed, self.shuffle) = (
      tokenCounts, sequenceLength, seed, shuffle
    )
    // A shuffled epoch leaves one window out, so that there is room for its offset.
    windowCounts = tokenCounts.map {
      shuffle ? max(1, ($0 - sequenceLength) / sequenceLength) : ($0 - 1) / sequenceLength
    }
    order = shuffle || weights != nil ? MixtureOrder(weights: shares, seed: seed) : nil
  }

  /// The window of a sample, counted over all steps and ranks from 0.
  package func window(at sample: Int) -> Window {
    guard let order else { return consecutiveWindow(at: sample) }
    let (source, earlier) = order.source(of: sample)
    let count = windowCounts[source]
    let (epoch, index) = earlier.quotientAndRemainder(dividingBy: count)
    guard shuffle else { return Window(source: source, epoch: epoch, start: index * sequenceLength) }
    let key = mix(mix(mix(seed) ^ UInt64(source)) ^ UInt64(epoch))
    let room = min(sequenceLength - 1, tokenCounts[source] - 1 - count * sequenceLength)
    let offset = Int(mix(key ^ 0x6f66_6673_6574) % UInt64(room + 1))
    let place = PseudorandomPermutation(count: count, key: key)[index]
    return Window(source: source, epoch: epoch, start: offset + place * sequenceLength)
  }

  private func consecutiveWindow(at sample: Int) -> Window {
    let (epoch, remainder) = sample.quotientAndRemainder(dividingBy: windowCounts.reduce(0, +))
    var (source, index) = (0, remainder)
    while index >= windowCounts[source] {
      index -= windowCounts[source]
      source += 1
    }
    return Window(source: source, epoch: epoch, start: index * sequenceLength)
  }

  /// The window of a sample of a step, where every step has the same number of samples.
  package func window(step: Int, sample: Int, samplesPerStep: Int) -> Window {
    window(at: step * samplesPerStep + sample)
  }
}
