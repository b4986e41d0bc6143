import ApusCore
import ApusForesight
import ApusReport

/// The field's back-of-an-envelope numbers for a model: typical scales (domain reference B13), when communication
/// hides behind computation (B14), utilisation (B1) and the memory widget (C1).
struct EstimateCalculators: Encodable {
  struct Scale: Encodable {
    let name, formula: String
    let elements: Int
  }

  struct Overlap: Encodable {
    let communication, formula: String
    let degree: Int
    let ratio: Double
  }

  struct Widget: Encodable {
    let recomputation: String
    let activations, parameters, gradients, optimizer: Double
  }

  let scales: [Scale]
  let forwardFLOPs, backwardFLOPs, preciseFLOPs: Double
  let overlap: [Overlap]
  let widget: [Widget]
  /// Hardware over model FLOPs, by policy: the published forms.
  let hardwareOverModelFLOPs: [String: Double]
  private let condition: OverlapCondition
  private let sizes: TypicalScales

  enum CodingKeys: String, CodingKey {
    case scales, overlap, widget
    case forwardFLOPs = "forward_flops"
    case backwardFLOPs = "backward_flops"
    case preciseFLOPs = "precise_flops"
    case hardwareOverModelFLOPs = "hardware_over_model_flops"
  }

  /// - Parameter degree: of each axis of parallelism in turn.
  init(_ estimate: MemoryEstimate, _ condition: OverlapCondition, degree: Int) {
    let model = estimate.model
    let shape = TransformerShape(model)
    let (s, b) = (estimate.settings.sequenceLength, estimate.settings.microBatchSize)
    let isGated = model.family == .llama
    let sizes = TypicalScales(shape, sequenceLength: s, microBatchSize: b, isGated: isGated)
    self.sizes = sizes
    self.condition = condition
    scales = [
      Scale(name: "hidden state", formula: "seq mbs h", elements: sizes.hiddenState),
      Scale(name: "weight matrix, its gradient", formula: "h²", elements: sizes.weightMatrix),
      Scale(name: "its optimizer states, in bf16 elements", formula: "6 h²", elements: sizes.optimizerStates),
      Scale(name: "query, key and value", formula: "3 h²", elements: sizes.queryKeyValue),
      Scale(name: "attention's output", formula: "h²", elements: sizes.attentionOutput),
      Scale(
        name: isGated ? "gate and up" : "up", formula: isGated ? "8 h²" : "4 h²",
        elements: sizes.feedForwardEntrance),
      Scale(name: "down", formula: "4 h²", elements: sizes.feedForwardExit),
      Scale(name: "block", formula: isGated ? "16 h²" : "12 h²", elements: sizes.block),
      Scale(name: "embedding; a head of its own again", formula: "v h", elements: sizes.embedding),
    ]
    forwardFLOPs = sizes.forwardFLOPs
    backwardFLOPs = sizes.backwardFLOPs
    preciseFLOPs = sizes.preciseFLOPs
    let layers = max(1, shape.layerCount / degree)
    overlap = [
      Overlap(
        communication: "gradients, data parallel", formula: "(d - 1) / (2 d tokens) F / B", degree: degree,
        ratio: condition.dataParallel(degree: degree, tokens: estimate.tokensOfStep)),
      Overlap(
        communication: "parameters, ZeRO-3", formula: "(d - 1) / (2 d tokens) F / B", degree: degree,
        ratio: condition.zero3(degree: degree, tokens: sizes.tokens)),
      Overlap(
        communication: "activations, tensor parallel", formula: "(t - 1) / (2 h) F / B", degree: degree,
        ratio: condition.tensorParallel(degree: degree, hiddenSize: shape.hiddenSize)),
      Overlap(
        communication: "activations, pipeline, \(layers) layers a stage", formula: "1 / (32 h layers) F / B",
        degree: degree,
        ratio: condition.pipelineParallel(hiddenSize: shape.hiddenSize, layersOfNextStage: layers)),
    ]
    widget = ActivationFormula.Recomputation.allCases.map { policy in
      let one = MemoryWidget(
        shape, intermediateSize: model.intermediateSize, sequenceLength: s, microBatchSize: b,
        recomputation: policy, activation: isGated ? .swiglu : .gelu)
      return Widget(
        recomputation: policy.rawValue, activations: one.activations, parameters: one.parameters,
        gradients: one.gradients, optimizer: one.optimizer)
    }
    let cost = RecomputationCost(shape, sequenceLength: s)
    hardwareOverModelFLOPs = [
      "none": 1, "selective": 1 + cost.selectiveCountedShare, "full": 1 + RecomputationCost.fullShareOfStep,
    ]
  }

  var text: String { [scalesText, overlapText, widgetText, utilizationText].joined(separator: "\n") }

  private var scalesText: String {
    var table = TextTable([.text("typical scales (B13)"), .text("formula"), .number("elements")])
    for scale in scales { table.add([scale.name, scale.formula, scale.elements.grouped]) }
    func tera(_ flops: Double) -> String { (flops / 1e12).formatted(decimals: 3) }
    return table.description + """
      A micro-batch of \(sizes.tokens.grouped) tokens: forward 2 tokens N = \(tera(forwardFLOPs)) TFLOP, backward \
      4 tokens N = \(tera(backwardFLOPs)),
      precisely 6 seq N + 12 L h seq² each sequence: \(tera(preciseFLOPs)), of which attention \
      \((100 * sizes.attentionShare).formatted(decimals: 1)) %.
      Attention costs as much as a block's products at \(sizes.balancedSequenceLength.grouped) tokens; the \
      published condition, seq² << h, is wrong (erratum 13).
      These are the reference's round shapes; the counts above are this model's own.

      """
  }

  private var overlapText: String {
    var table = TextTable([
      .text("communication against computation (B14)"), .text("formula"), .number("degree"),
      .number("ratio"), .text(""),
    ])
    for row in overlap {
      table.add([
        row.communication, row.formula, "\(row.degree)", row.ratio.formatted(decimals: 4),
        row.ratio <= 1 ? "can hide" : "cannot hide",
      ])
    }
    let bytes = Int(condition.bytesPerElement)
    return table.description + """
      F = \((condition.flopsPerSecond / 1e12).formatted(decimals: 1)) TFLOP/s, \
      B = \((condition.busBandwidth / 1e9).formatted(decimals: 2)) GB/s, \
      \(bytes) byte\(bytes == 1 ? "" : "s") an element; published ratios take 1 byte, and print a factor N for \
      data parallelism
      that cancels (erratum 3). A rank needs \
      \(condition.tokensToHide(degree: overlap[0].degree).grouped) tokens between two synchronisations to hide \
      them; tensor
      parallelism hides up to degree \
      \(condition.largestTensorDegree(hiddenSize: sizes.shape.hiddenSize)). A bucket of 25 MB takes \
      \((1e3 * condition.bucketSeconds(degree: overlap[0].degree)).formatted(decimals: 3)) ms.

      """
  }

  private var widgetText: String {
    var table = TextTable([
      .text("memory widget (C1), recomputation"), .number("activations"), .number("parameters"),
      .number("gradients"), .number("optimizer"),
    ])
    for row in widget {
      table.add(
        [row.recomputation]
          + [row.activations, row.parameters, row.gradients, row.optimizer].map {
            ByteCount(Int($0)).description
          })
    }
    return table.description + """
      bf16 with master weights, textbook transformer with dropout; its parameters count seq h more than S9 \
      (erratum 9).
      With sequence parallelism the published widget forgets to divide the attention matrices (erratum 7).

      """
  }

  private var utilizationText: String {
    let ratios = ["none", "selective", "full"].map {
      "\($0) \((hardwareOverModelFLOPs[$0] ?? 1).formatted(decimals: 4))"
    }
    return """
      Hardware over model FLOPs utilisation, HFU / MFU (B1), by recomputation: \
      \(ratios.joined(separator: ", ")).

      """
  }
}
