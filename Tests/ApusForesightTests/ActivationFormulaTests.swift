import ApusCore
import ApusForesight
import Testing

@Suite struct ActivationFormulaTests {
  /// A bar of the domain reference's table 4.2: GiB of 4 N and of activations by policy.
  struct Bar: Sendable, CustomTestStringConvertible {
    let model: String
    let sequence: Int
    let parameters, none: String
    var selective = "", full = ""
    var testDescription: String { "\(model) at \(sequence)" }
  }

  static let shapes: [String: (layers: Int, hidden: Int, heads: Int)] = [
    "1B": (16, 2048, 32), "3B": (28, 3072, 24), "8B": (32, 4096, 32), "70B": (80, 8192, 64),
    "405B": (126, 16384, 128),
  ]

  static let bars = [
    Bar(
      model: "1B", sequence: 1024, parameters: "3.988", none: "3.5645", selective: "1.0645", full: ".0645"),
    Bar(
      model: "1B", sequence: 4096, parameters: "4.011", none: "44.2578", selective: "4.2578", full: ".2578"),
    Bar(
      model: "1B", sequence: 8192, parameters: "4.043", none: "168.5156", selective: "8.5156", full: ".5156"),
    Bar(model: "3B", sequence: 1024, parameters: "13.296", none: "6.0732", selective: "2.792", full: ".167"),
    Bar(model: "3B", sequence: 4096, parameters: "13.331", none: "63.668", selective: "11.168", full: ".668"),
    Bar(
      model: "3B", sequence: 8192, parameters: "13.378", none: "232.336", selective: "22.336", full: "1.336"),
    Bar(
      model: "8B", sequence: 1024, parameters: "25.979", none: "9.2539", selective: "4.2539", full: ".2539"),
    Bar(
      model: "8B", sequence: 4096, parameters: "26.026", none: "97.0156", selective: "17.0156",
      full: "1.0156"),
    Bar(
      model: "8B", sequence: 8192, parameters: "26.088", none: "354.031", selective: "34.0312",
      full: "2.0312"),
    Bar(
      model: "70B", sequence: 1024, parameters: "243.977", none: "46.2578", selective: "21.2578",
      full: "1.2578"),
    Bar(
      model: "70B", sequence: 4096, parameters: "244.071", none: "485.031", selective: "85.0312",
      full: "5.0312"),
    Bar(
      model: "70B", sequence: 8192, parameters: "244.196", none: "1770.06", selective: "170.062",
      full: "10.0625"),
    Bar(
      model: "405B", sequence: 1024, parameters: "1519.99", none: "145.703", selective: "66.953",
      full: "3.953"),
    Bar(
      model: "405B", sequence: 4096, parameters: "1520.18", none: "1527.81", selective: "267.81",
      full: "15.812"),
    Bar(
      model: "405B", sequence: 8192, parameters: "1520.43", none: "5575.62", selective: "535.62",
      full: "31.625"),
    Bar(model: "8B", sequence: 16384, parameters: "", none: "1348.06"),
    Bar(model: "70B", sequence: 16384, parameters: "", none: "6740.125"),
    Bar(model: "405B", sequence: 16384, parameters: "", none: "21231.25"),
  ]

  @Test(arguments: bars) func barsOfTheReference(bar: Bar) throws {
    let (layers, hidden, heads) = try #require(Self.shapes[bar.model])
    let shape = TransformerShape(
      layerCount: layers, hiddenSize: hidden, headCount: heads, vocabularySize: 128256)
    let formula = ActivationFormula(shape, sequenceLength: bar.sequence)
    func activations(_ policy: ActivationFormula.Recomputation) -> Double {
      Double(formula.bytesWithEmbeddingDropout(policy).bytes) / gibibyte
    }
    #expect(rounds(activations(.none), to: bar.none))
    if !bar.selective.isEmpty {
      #expect(rounds(activations(.selective), to: bar.selective))
      #expect(rounds(activations(.full), to: bar.full))
      let parameters = 4 * Double(shape.parameterCount(withPositions: bar.sequence)) / gibibyte
      #expect(rounds(parameters, to: bar.parameters))
    }
  }

  /// Domain reference S13: attention 11 s b h + 5 a s² b, feed-forward 19 s b h, norms 4 s b h.
  @Test func itemsOfALayer() {
    let shape = TransformerShape(layerCount: 3, hiddenSize: 64, headCount: 4, vocabularySize: 100)
    let formula = ActivationFormula(shape, sequenceLength: 32, microBatchSize: 2)
    let (sbh, matrix) = (32 * 2 * 64, 4 * 32 * 32 * 2)
    #expect(formula.bytes(of: .attention).bytes == 11 * sbh + 5 * matrix)
    #expect(formula.bytes(of: .feedForward).bytes == 19 * sbh)
    #expect(formula.bytes(of: .norms).bytes == 4 * sbh)
    #expect(formula.bytes().bytes == 3 * (34 * sbh + 5 * matrix))
    #expect(formula.bytes(.selective).bytes == 3 * 34 * sbh)
    #expect(formula.bytes(.full).bytes == 3 * 2 * sbh)
  }

  /// Domain reference S13: linear in the batch, first term linear and second quadratic in the sequence.
  @Test func doubling() {
    let shape = TransformerShape(layerCount: 2, hiddenSize: 64, headCount: 4, vocabularySize: 100)
    func bytes(_ s: Int, _ b: Int, _ policy: ActivationFormula.Recomputation) -> Int {
      ActivationFormula(shape, sequenceLength: s, microBatchSize: b).bytes(policy).bytes
    }
    #expect(bytes(32, 2, .none) == 2 * bytes(32, 1, .none))
    #expect(bytes(64, 1, .selective) == 2 * bytes(32, 1, .selective))
    let matrices = { s in bytes(s, 1, .none) - bytes(s, 1, .selective) }
    #expect(matrices(64) == 4 * matrices(32))
  }

  /// Domain reference S16, the GPT-3 shape: 70.18 % saved, 2.703 % published cost, 0.90 % counted.
  @Test func selectiveRecomputationOfGPT3() {
    let gpt3 = TransformerShape(layerCount: 96, hiddenSize: 12288, headCount: 96, vocabularySize: 50257)
    let cost = RecomputationCost(gpt3, sequenceLength: 2048)
    #expect(rounds(100 * cost.selectiveSavedShare, to: "70.18"))
    #expect(rounds(100 * cost.selectivePublishedShare, to: "2.703"))
    #expect(rounds(100 * cost.selectiveCountedShare, to: "0.90"))
    let formula = ActivationFormula(gpt3, sequenceLength: 2048)
    let kept = Double(formula.bytes(.selective).bytes) / Double(formula.bytes().bytes)
    #expect(abs(1 - kept - cost.selectiveSavedShare) < 1e-12)
  }

  /// Domain reference 4.3: 70B by tensor parallelism, with and without sequence parallelism, GiB at 1024,
  /// 4096 and 16384 tokens.
  @Test(arguments: [
    (8, false, ["8.125", "32.5", "130"]), (16, false, ["7.1875", "28.75", "115"]),
    (8, true, ["2.656", "10.625", "42.5"]), (16, true, ["1.328", "5.3125", "21.25"]),
  ])
  func tensorParallelBars(degree: Int, sequenceParallel: Bool, printed: [String]) {
    for (sequence, text) in zip([1024, 4096, 16384], printed) {
      let formula = ActivationFormula(TransformerShape(PublishedModels.llama70B), sequenceLength: sequence)
      let bytes = formula.bytes(
        .selective, tensorParallelDegree: degree, sequenceParallel: sequenceParallel)
      #expect(rounds(bytes / gibibyte, to: text))
    }
  }

  /// Domain reference 4.3: 8B with TP2, 131072 tokens, with and without CP4.
  @Test func contextParallelBars() {
    let formula = ActivationFormula(TransformerShape(PublishedModels.llama8B), sequenceLength: 131072)
    func gibibytes(_ c: Int) -> Double {
      formula.bytes(.selective, tensorParallelDegree: 2, sequenceParallel: false, contextParallelDegree: c)
        / gibibyte
    }
    #expect(gibibytes(1) == 352)
    #expect(gibibytes(4) == 88)
    #expect(Double(formula.bytes(.selective).bytes) / gibibyte == 544)
  }

  /// Erratum 8: what the overview's bars should show at 16384 tokens for 8B.
  @Test func overviewBarsCorrected() {
    let formula = ActivationFormula(TransformerShape(PublishedModels.llama8B), sequenceLength: 16384)
    func gibibytes(_ policy: ActivationFormula.Recomputation, t: Int, c: Int) -> Double {
      formula.bytes(policy, tensorParallelDegree: t, sequenceParallel: t > 1, contextParallelDegree: c)
        / gibibyte
    }
    #expect(gibibytes(.selective, t: 8, c: 1) == 8.5)
    #expect(gibibytes(.full, t: 8, c: 1) == 0.5)
    #expect(gibibytes(.selective, t: 1, c: 8) == 8.5)
  }

  @Test func degreeOneIsTheWholeFormula() {
    let formula = ActivationFormula(
      TransformerShape(PublishedModels.gpt2), sequenceLength: 256, microBatchSize: 3)
    for policy in ActivationFormula.Recomputation.allCases {
      for sequenceParallel in [false, true] {
        let bytes = formula.bytes(policy, tensorParallelDegree: 1, sequenceParallel: sequenceParallel)
        #expect(bytes == Double(formula.bytes(policy).bytes))
      }
    }
  }
}
