import ApusTraining
import Foundation
import Testing

@Suite struct SamplingTests {
  private func frequencies(_ sampling: Sampling, _ logits: [Float], draws: Int = 20_000) -> [Double] {
    var chooser = TokenChooser(sampling)
    var logits = logits
    var counts = [Double](repeating: 0, count: logits.count)
    logits.withUnsafeMutableBufferPointer { buffer in
      for _ in 0..<draws { counts[Int(chooser.choose(buffer))] += 1 }
    }
    return counts.map { $0 / Double(draws) }
  }

  private let logits: [Float] = [2, 1, 0, -1].map { Float($0) }

  private func softmax(_ values: [Double]) -> [Double] {
    let sum = values.reduce(0) { $0 + exp($1) }
    return values.map { exp($0) / sum }
  }

  @Test(arguments: [1.0, 0.5, 2.0])
  func drawsFollowTheDistribution(_ temperature: Double) {
    let drawn = frequencies(Sampling(temperature: temperature, seed: 3), logits)
    for (a, b) in zip(drawn, softmax(logits.map { Double($0) / temperature })) { #expect(abs(a - b) < 0.015) }
  }

  @Test func topKAndTopPKeepTheLikeliest() {
    let k = frequencies(Sampling(topK: 2, seed: 1), logits)
    #expect(k[2] == 0 && k[3] == 0 && abs(k[0] - exp(1) / (exp(1) + 1)) < 0.015)
    let p = frequencies(Sampling(topP: 0.6, seed: 1), logits)
    #expect(p == [1, 0, 0, 0])
    let more = frequencies(Sampling(topP: 0.7, seed: 1), logits)
    #expect(more[1] > 0 && more[2] == 0)
  }

  @Test func zeroTemperatureIsTheLikeliestAndSeedsRepeat() {
    #expect(frequencies(.greedy, logits, draws: 10) == [1, 0, 0, 0])
    let once = frequencies(Sampling(seed: 9), logits, draws: 100)
    #expect(once == frequencies(Sampling(seed: 9), logits, draws: 100))
    #expect(once != frequencies(Sampling(seed: 10), logits, draws: 100))
  }
}
