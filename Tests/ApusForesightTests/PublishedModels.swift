import ApusModels

/// Models whose numbers are published.
enum PublishedModels {
  static let gpt2 = ModelConfiguration(
    family: .gpt2, vocabularySize: 50257, maximumSequenceLength: 1024, layerCount: 12, hiddenSize: 768,
    headCount: 12)
  static let gpt2XL = ModelConfiguration(
    family: .gpt2, vocabularySize: 50257, maximumSequenceLength: 1024, layerCount: 48, hiddenSize: 1600,
    headCount: 25)
  /// Llama 3.2 1B.
  static let llama1B = llama(
    layers: 16, hidden: 2048, heads: 32, keyValueHeads: 8, intermediate: 8192, tied: true)
  /// Llama 3.1 8B.
  static let llama8B = llama(
    layers: 32, hidden: 4096, heads: 32, keyValueHeads: 8, intermediate: 14336, tied: false)
  /// Llama 3.1 70B.
  static let llama70B = llama(
    layers: 80, hidden: 8192, heads: 64, keyValueHeads: 8, intermediate: 28672, tied: false)

  /// The models of the benchmark campaign, by their names there (domain reference B7).
  static let benchmark: [String: ModelConfiguration] = [
    "1.34B": llama(layers: 16, hidden: 2048, heads: 32, intermediate: 8192, vocabulary: 131072, tied: true),
    "3.57B": llama(layers: 28, hidden: 3072, heads: 32, intermediate: 8192, vocabulary: 131072, tied: true),
    "8.86B": llama(layers: 32, hidden: 4096, heads: 32, intermediate: 14336, vocabulary: 131072, tied: false),
    "80B": llama(layers: 80, hidden: 8192, heads: 64, intermediate: 28672, vocabulary: 131072, tied: false),
  ]

  private static func llama(
    layers: Int, hidden: Int, heads: Int, keyValueHeads: Int? = nil, intermediate: Int,
    vocabulary: Int = 128256, tied: Bool
  ) -> ModelConfiguration {
    ModelConfiguration(
      family: .llama, vocabularySize: vocabulary, maximumSequenceLength: 8192, layerCount: layers,
      hiddenSize: hidden, headCount: heads, keyValueHeadCount: keyValueHeads, intermediateSize: intermediate,
      tiedEmbeddings: tied)
  }
}

/// A number as it is printed in a table: it stands for all that round to it.
func rounds(_ value: Double, to printed: String) -> Bool {
  guard let number = Double(printed) else { return false }
  let decimals = printed.split(separator: ".", omittingEmptySubsequences: false).dropFirst().first?.count ?? 0
  var unit = 1.0
  for _ in 0..<decimals { unit /= 10 }
  return abs(value - number) <= unit * 0.5 * (1 + 1e-9)
}

let gibibyte = 1_073_741_824.0
