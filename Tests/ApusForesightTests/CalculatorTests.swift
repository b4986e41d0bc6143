import ApusCore
import ApusForesight
import ApusModels
import Testing

@Suite struct TypicalScalesTests {
  private let shape = TransformerShape(layerCount: 4, hiddenSize: 64, headCount: 4, vocabularySize: 1000)

  /// Domain reference B13: 16 h² a block with a gate, 12 h² without.
  @Test func blocks() {
    let gated = TypicalScales(shape, sequenceLength: 128, microBatchSize: 2)
    #expect(gated.block == 16 * 64 * 64 && gated.tokens == 256 && gated.hiddenState == 256 * 64)
    let plain = TypicalScales(shape, sequenceLength: 128, isGated: false)
    #expect(plain.block == 12 * 64 * 64)
    #expect(plain.optimizerStates == 6 * plain.weightMatrix)
    // Without a gate the sum is S9's less biases and norms.
    #expect(shape.parameterCount - plain.parameterCount == 4 * 13 * 64 + 2 * 64)
  }

  /// The counted matrix FLOPs of a program whose head is tied and whose shapes are the reference's: the two counts
  /// differ by what `FLOPsComparison` names, and attention counts half because it is causal.
  @Test func countedProducts() throws {
    let model = ModelConfiguration(
      family: .gpt2, vocabularySize: 1024, maximumSequenceLength: 128, layerCount: 3, hiddenSize: 128,
      headCount: 4, keyValueHeadCount: 4, intermediateSize: 512, tiedEmbeddings: true)
    let estimate = try MemoryEstimate(
      model, .init(microBatchSize: 2, sequenceLength: 128), workspace: { _ in 0 })
    let scales = TypicalScales(
      TransformerShape(model), sequenceLength: 128, microBatchSize: 2, isGated: false)
    let products = scales.forwardFLOPs + scales.backwardFLOPs
    let causal = products + (scales.preciseFLOPs - products) / 2
    let counted = Double(2 * estimate.flops.counted)
    // Named by FLOPsComparison: scores again in backward, and a token's pair with itself.
    let deviations = estimate.flops.deviationsPerToken.filter { !$0.reason.contains("multiply no matrix") }
    let named = deviations.reduce(0) { $0 + $1.count } * scales.tokens
    #expect(counted == causal + Double(named))
  }

  /// Erratum 13: attention costs as much as the products at 6 h tokens, not where s² is about h.
  @Test func whereAttentionWeighsAsMuch() {
    let plain = TypicalScales(shape, sequenceLength: 6 * 64, isGated: false)
    #expect(plain.balancedSequenceLength == 6 * 64)
    let blocks = 6.0 * Double(plain.tokens * 4 * plain.block)
    #expect(plain.preciseFLOPs - plain.forwardFLOPs - plain.backwardFLOPs == blocks)
    #expect(TypicalScales(shape, sequenceLength: 1).balancedSequenceLength == 8 * 64)
  }
}

@Suite struct OverlapConditionTests {
  private let book = OverlapCondition(flopsPerSecond: 989e12, busBandwidth: 435.97e9, bytesPerElement: 1)

  /// Domain reference B14, the derived examples at one byte an element, and bf16.
  @Test func examples() {
    #expect(rounds(book.tensorParallel(degree: 8, hiddenSize: 8192), to: ".969"))
    #expect(rounds(book.dataParallel(degree: 8, tokens: 4096), to: ".242"))
    #expect(rounds(book.pipelineParallel(hiddenSize: 8192, layersOfNextStage: 10), to: ".00087"))
    var bf16 = book
    bf16.bytesPerElement = 2
    #expect(rounds(bf16.tensorParallel(degree: 8, hiddenSize: 8192), to: "1.94"))
  }

  /// Erratum 3: from the two times themselves, the number of parameters cancels.
  @Test(arguments: [1e9, 8e9, 405e9]) func parametersCancel(parameters: Double) {
    let communication = 2.0 * 7 / 8 * parameters / 435.97e9
    let computation = 4 * 4096 * parameters / 989e12
    #expect(abs(book.dataParallel(degree: 8, tokens: 4096) - communication / computation) < 1e-12)
  }

  /// ZeRO-3 from its two times: 16 h² (d - 1) / d bytes against 32 tokens h².
  @Test func zero3() {
    let h = 4096.0
    let communication = 16 * h * h * 7 / 8 / 435.97e9
    let computation = 32 * 4096 * h * h / 989e12
    #expect(abs(book.zero3(degree: 8, tokens: 4096) - communication / computation) < 1e-12)
  }

  @Test func limits() {
    let tokens = book.tokensToHide(degree: 8)
    #expect(book.dataParallel(degree: 8, tokens: tokens) <= 1)
    #expect(book.dataParallel(degree: 8, tokens: tokens - 1) > 1)
    let degree = book.largestTensorDegree(hiddenSize: 8192)
    #expect(book.tensorParallel(degree: degree, hiddenSize: 8192) <= 1)
    #expect(book.tensorParallel(degree: degree + 1, hiddenSize: 8192) > 1)
    #expect(abs(book.bucketSeconds(degree: 8) - 1.75 * 25e6 / 435.97e9) < 1e-15)
  }
}

@Suite struct FLOPsUtilizationTests {
  /// Domain reference B1: equal without recomputation, 4 / 3 with a whole forward pass again.
  @Test func ratios() {
    let none = FLOPsUtilization(modelFLOPs: 3e15, recomputedFLOPs: 0, peakFLOPsPerSecond: 1e15)
    #expect(none.model(stepSeconds: 6) == 0.5 && none.hardware(stepSeconds: 6) == 0.5)
    let full = FLOPsUtilization(modelFLOPs: 3e15, recomputedFLOPs: 1e15, peakFLOPsPerSecond: 1e15)
    #expect(full.hardware(stepSeconds: 8) > full.model(stepSeconds: 8))
    #expect(abs(full.ratio - 4.0 / 3) < 1e-15)
  }
}

@Suite struct MemoryWidgetTests {
  private func shape(_ model: ModelConfiguration) -> TransformerShape { TransformerShape(model) }

  /// Domain reference C1: GELU, one rank, 4 h, two bytes: 34 s b h + 5 a s² b a layer.
  @Test func layer() {
    let shape = TransformerShape(layerCount: 1, hiddenSize: 96, headCount: 6, vocabularySize: 500)
    let widget = MemoryWidget(shape, sequenceLength: 40, microBatchSize: 3)
    let formula = ActivationFormula(shape, sequenceLength: 40, microBatchSize: 3)
    #expect(widget.attention + widget.feedForward + widget.norms == Double(formula.bytes().bytes))
    var selective = widget
    selective.recomputation = .selective
    #expect(
      selective.attention + selective.feedForward + selective.norms
        == Double(formula.bytes(.selective).bytes))
    var full = widget
    full.recomputation = .full
    #expect(full.activations - full.once == Double(formula.bytes(.full).bytes))
  }

  /// With tensor and sequence parallelism, the formulas of B3; the published widget forgets one division.
  @Test(arguments: [2, 4, 8]) func tensorParallel(degree: Int) {
    let shape = TransformerShape(layerCount: 1, hiddenSize: 128, headCount: 8, vocabularySize: 500)
    let formula = ActivationFormula(shape, sequenceLength: 64, microBatchSize: 2)
    for sequenceParallel in [false, true] {
      var widget = MemoryWidget(
        shape, sequenceLength: 64, microBatchSize: 2, tensorDegree: degree,
        isSequenceParallel: sequenceParallel)
      let expected = formula.bytes(
        .none, tensorParallelDegree: degree, sequenceParallel: sequenceParallel)
      #expect(widget.attention + widget.feedForward + widget.norms == expected)
      widget.repeatsErratum7 = true
      let matrices = 5.0 * 8 * 64 * 64 * 2
      let forgotten = sequenceParallel ? matrices * Double(degree - 1) / Double(degree) : 0
      #expect(widget.attention + widget.feedForward + widget.norms == expected + forgotten)
    }
  }

  /// Parameters of S9 and s h more; bytes a parameter 2 + 2 + 12 mixed, 4 + 4 + 8 in fp32; shards by stage.
  @Test func states() {
    let shape = TransformerShape(layerCount: 2, hiddenSize: 64, headCount: 4, vocabularySize: 300)
    var widget = MemoryWidget(shape, sequenceLength: 32, microBatchSize: 1)
    #expect(widget.parameterCount == shape.parameterCount + 32 * 64)
    let count = Double(widget.parameterCount)
    #expect(widget.parameters + widget.gradients + widget.optimizer == 16 * count)
    widget.isMixedPrecision = false
    #expect(widget.parameters + widget.gradients + widget.optimizer == 16 * count)
    widget.dataDegree = 4
    let sums = (0...3).map { stage in
      widget.zeroStage = stage
      return widget.parameters + widget.gradients + widget.optimizer
    }
    #expect(sums == [16 * count, 10 * count, 7 * count, 4 * count])
  }
}

/// Domain reference 4.3: bars of memory by layout, GiB.
@Suite struct LayoutBarTests {
  /// Without norms, as drawn.
  private func count(_ model: ModelConfiguration) -> Double { Double(ParameterCount(model).withoutNorms) }

  @Test func tensorParallelStates() {
    for (degree, weights, optimizer) in [(8, "16.44", "65.75"), (16, "8.22", "32.875")] {
      let share = count(PublishedModels.llama70B) / Double(degree) / gibibyte
      #expect(abs(2 * share - (Double(weights) ?? 0)) < 0.02)
      #expect(abs(8 * share - (Double(optimizer) ?? 0)) < 0.06)
    }
    let half = count(PublishedModels.llama8B) / 2 / gibibyte
    #expect(rounds(2 * half, to: "7.479") && rounds(8 * half, to: "29.914"))
  }

  /// Context parallelism: 2.75 and .6875 GiB for each 1024 tokens at TP2, CP1 and CP4.
  @Test func contextParallelActivations() {
    let formula = ActivationFormula(TransformerShape(PublishedModels.llama8B), sequenceLength: 1024)
    for (degree, text) in [(1, "2.75"), (4, ".6875")] {
      let bytes = formula.bytes(
        .selective, tensorParallelDegree: 2, sequenceParallel: false, contextParallelDegree: degree)
      #expect(rounds(bytes / gibibyte, to: text))
    }
  }

  /// PP = 8 of 8B: four layers and one table.
  @Test func pipelineParallelStates() {
    let parts = ParameterCount(PublishedModels.llama8B)
    let stage = Double((parts.attention + parts.feedForward) / 8 + parts.embedding) / gibibyte
    #expect(rounds(2 * stage, to: "2.6035"))
    #expect(rounds(8 * stage, to: "10.414"))
  }

  /// The overview's EP = 8: the dense feed-forward blocks divided by 8.
  @Test func expertParallelStates() {
    let parts = ParameterCount(PublishedModels.llama8B)
    let rank = Double(parts.withoutNorms - parts.feedForward + parts.feedForward / 8) / gibibyte
    #expect(rounds(2 * rank, to: "5.77"))
    #expect(rounds(8 * rank, to: "23.08"))
  }
}
