import ApusData
import Foundation
import Testing

@Suite("Sampling")
struct SamplerTests {
  @Test("an index goes to an index, each once", arguments: [1, 2, 3, 5, 16, 17, 1000, 4097])
  func permutation(count: Int) {
    let permutation = PseudorandomPermutation(count: count, key: 7)
    let image = (0..<count).map { permutation[$0] }
    #expect(image.sorted() == Array(0..<count))
    let other = PseudorandomPermutation(count: count, key: 8)
    if count >= 16 {
      #expect(image != Array(0..<count) && image != (0..<count).map { other[$0] })
      // Neighbours do not stay neighbours.
      #expect(zip(image, image.dropFirst()).count { $1 == $0 + 1 } < max(5, count / 50))
    }
  }

  @Test(
    "every token is an input once an epoch, up to a remainder", arguments: [true, false],
    [101, 1000, 1017, 64])
  func coverage(shuffle: Bool, tokens: Int) {
    let length = 10
    let sampler = Sampler(tokenCounts: [tokens], sequenceLength: length, seed: 3, shuffle: shuffle)
    let count = sampler.windowCounts[0]
    var orders: Set<[Int]> = []
    for epoch in 0..<5 {
      var reads = [Int](repeating: 0, count: tokens)
      var order: [Int] = []
      for sample in epoch * count..<(epoch + 1) * count {
        let window = sampler.window(at: sample)
        #expect(window.epoch == epoch && window.source == 0)
        #expect(window.start >= 0 && window.start + length + 1 <= tokens)
        for position in window.start..<window.start + length { reads[position] += 1 }
        order.append(window.start)
      }
      orders.insert(order)
      #expect(reads.max() == 1)
      let unread = reads.count { $0 == 0 }
      #expect(unread <= (shuffle ? 2 * length - 1 : length))
      #expect(shuffle || order == (0..<count).map { $0 * length })
    }
    #expect(orders.count == (shuffle ? 5 : 1))
  }

  @Test("a sample is a pure function of seed, step and index")
  func purity() {
    func starts(_ seed: UInt64, _ samples: [Int]) -> [Sampler.Window] {
      let sampler = Sampler(
        tokenCounts: [5000, 900], weights: [1, 2], sequenceLength: 16, seed: seed, shuffle: true)
      return samples.map { sampler.window(at: $0) }
    }
    let forwards = starts(1, Array(0..<500))
    #expect(starts(1, (0..<500).reversed()) == forwards.reversed())
    #expect(starts(2, Array(0..<500)) != forwards)
    let sampler = Sampler(
      tokenCounts: [5000, 900], weights: [1, 2], sequenceLength: 16, seed: 1, shuffle: true)
    #expect(sampler.window(step: 12, sample: 5, samplesPerStep: 8) == forwards[101])
  }

  @Test("a mixture follows its weights, and each source counts its own samples")
  func mixture() {
    let weights = [5.0, 3, 1, 0.25]
    let order = MixtureOrder(weights: weights, seed: 11)
    var counts = [Int](repeating: 0, count: weights.count)
    for sample in 0..<20_000 {
      let (source, earlier) = order.source(of: sample)
      #expect(earlier == counts[source])
      counts[source] += 1
      for (count, weight) in zip(counts, weights) where sample % 97 == 0 {
        #expect(abs(Double(count) - Double(sample + 1) * weight / 9.25) < 10)
      }
    }
    // Far along it still counts right, without a walk.
    let far = order.source(of: 1_000_000_000_000)
    #expect(abs(Double(far.earlier) / 1e12 - weights[far.source] / 9.25) < 1e-10)
    let two = MixtureOrder(weights: [1, 1], seed: 0)
    for pair in 0..<100 { #expect(two.source(of: 2 * pair).source != two.source(of: 2 * pair + 1).source) }
  }

  private func dataset(
    _ files: [[Int32]], in folder: URL, weights: [Double]? = nil, length: Int, vocabulary: Int = 60_000,
    shuffle: Bool = false
  ) throws -> TokenDataset {
    var opened: [TokenFile] = []
    for (index, tokens) in files.enumerated() {
      let path = folder.appending(path: "\(index).bin").path
      var writer = try TokenFileWriter(path: path, format: .uint16)
      try writer.append(tokens)
      try writer.finish()
      opened.append(try TokenFile(path: path))
    }
    return try TokenDataset(
      files: opened, weights: weights, sequenceLength: length, vocabularySize: vocabulary, seed: 5,
      shuffle: shuffle)
  }

  @Test("targets are the inputs one token further")
  func filling() throws {
    try withTemporaryFolder { folder in
      let data = try dataset([Array(0..<50), Array(100..<121)], in: folder, length: 10)
      #expect(data.windowCount == 6)
      var (inputs, targets) = ([Int32](repeating: 0, count: 60), [Int32](repeating: 0, count: 60))
      try data.fill(inputs: &inputs, targets: &targets, samples: 0..<6)
      #expect(inputs == Array(0..<40) + Array(100..<120))
      #expect(targets == inputs.map { $0 + 1 })
      let mixed = try dataset(
        [Array(0..<500), Array(1000..<1500)], in: folder, weights: [1, 3], length: 8, shuffle: true)
      try mixed.fill(inputs: &inputs, targets: &targets, step: 3, samples: 1..<4, samplesPerStep: 4)
      #expect(targets[..<24] == inputs[..<24].map { $0 + 1 }[...])
      let starts = (13..<16).map { mixed.sampler.window(at: $0) }.map { Int32($0.source * 1000 + $0.start) }
      #expect([inputs[0], inputs[8], inputs[16]] == starts)
    }
  }

  @Test("what cannot be read is refused")
  func refusals() throws {
    try withTemporaryFolder { folder in
      #expect(
        message { _ = try dataset([Array(0..<10)], in: folder, length: 10) }
          .contains("0.bin: 10 tokens are too few for a sequence of 10, which needs 11"))
      #expect(
        message { _ = try dataset([Array(0..<11)], in: folder, weights: [1, 2], length: 10) }.contains(
          "2 weights"))
      #expect(
        message { _ = try dataset([Array(0..<11)], in: folder, weights: [-1], length: 10) }.contains("-1.0"))
      let data = try dataset([Array(90..<101)], in: folder, length: 10, vocabulary: 100)
      var (inputs, targets) = ([Int32](repeating: 0, count: 10), [Int32](repeating: 0, count: 10))
      let text = message { try data.fill(inputs: &inputs, targets: &targets, samples: 0..<1) }
      #expect(text.contains("0.bin: token 100 at position 10 is beyond the vocabulary of 100"))
    }
  }
}
