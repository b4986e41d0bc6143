import ApusCore
import ApusForesight
import ApusReport

/// The published formulas for a model's states and activations, beside what the program really keeps
/// (domain reference S10 to S16).
struct ClosedForms: Encodable {
  struct States: Encodable {
    let recipe: String
    let bytesPerParameter, bytes: Int

    enum CodingKeys: String, CodingKey {
      case recipe, bytes
      case bytesPerParameter = "bytes_per_parameter"
    }
  }

  /// A row of B10's table: bytes a parameter, by what they are for.
  struct Recipe: Encodable {
    let name: String
    let weights, gradients, masterWeights, gradientSums, moments, total: Int

    enum CodingKeys: String, CodingKey {
      case name, weights, gradients, moments, total
      case masterWeights = "master_weights"
      case gradientSums = "gradient_sums"
    }

    init(_ recipe: PrecisionRecipe) {
      name = recipe.name
      weights = recipe.weightBytesPerParameter
      gradients = recipe.gradientBytesPerParameter
      masterWeights = recipe.masterWeightBytesPerParameter
      gradientSums = recipe.gradientSumBytesPerParameter
      moments = recipe.momentBytesPerParameter
      total = recipe.bytesPerParameter
    }
  }

  struct Activations: Encodable {
    let recomputation: String
    let bytes: Int
  }

  struct Item: Encodable {
    let block, name: String
    let bytes: Int
  }

  let states: [States]
  /// The published recipes (B10), and what Apus keeps in place of the first.
  let recipes = PrecisionRecipe.published.map(Recipe.init) + [Recipe(.bfloat16AccumulatingInFloat32)]
  let activations: [Activations]
  /// What a layer of the textbook's transformer keeps.
  let layer: [Item]
  private let formula: ActivationFormula
  private let shape: TransformerShape
  private let kept: SavedActivations
  private let precision: String

  enum CodingKeys: String, CodingKey {
    case activations, recipes
    case states = "model_states"
    case layer = "activations_of_layer"
  }

  init(_ estimate: MemoryEstimate) {
    let parameters = estimate.parameters.enumerated
    states = [PrecisionRecipe.float32, .bfloat16, .bfloat16SummingInFloat32].map {
      States(
        recipe: $0.name, bytesPerParameter: $0.bytesPerParameter,
        bytes: $0.modelStates(parameterCount: parameters).bytes)
    }
    shape = TransformerShape(estimate.model)
    let formula = ActivationFormula(
      shape, sequenceLength: estimate.settings.sequenceLength,
      microBatchSize: estimate.settings.microBatchSize)
    self.formula = formula
    activations = ActivationFormula.Recomputation.allCases.map {
      Activations(recomputation: $0.rawValue, bytes: formula.bytes($0).bytes)
    }
    layer = formula.items.map { Item(block: $0.block.rawValue, name: $0.name, bytes: $0.size.bytes) }
    kept = estimate.savedActivations
    precision = estimate.settings.precision.compute.shortName
  }

  var text: String {
    [statesText, discrepancyText, recipesText, activationsText, layerText, costText].joined(separator: "\n")
  }

  private var statesText: String {
    var table = TextTable([
      .text("model states, this model"), .text("formula"), .number("a parameter"), .number("size"),
    ])
    let formulas = [
      "S10: 4 N + 4 N + (4 + 4) N", "S11: 2 N + 2 N + 4 N + (4 + 4) N",
      "S11: 2 N + 2 N + 4 N + 4 N + (4 + 4) N",
    ]
    for (state, formula) in zip(states, formulas) {
      table.add([state.recipe, formula, "\(state.bytesPerParameter) B", "\(ByteCount(state.bytes))"])
    }
    return table.description
  }

  /// Table S12, in GB of 10^9 bytes, and its erratum.
  private var discrepancyText: String {
    var table = TextTable([
      .text("parameters (S12)"), .number("16 B: fp32, or bf16"),
      .number("20 B: bf16, gradients summed in fp32"),
    ])
    for billions in [1, 7, 70, 405] {
      func size(_ recipe: PrecisionRecipe) -> String {
        "\(recipe.modelStates(parameterCount: billions * 1_000_000_000).bytes / 1_000_000_000) GB"
      }
      table.add(["\(billions)B", size(.float32), size(.bfloat16SummingInFloat32)])
    }
    return table.description + """
      The published table heads its columns "full precision" and "mixed precision", but the list beside it,
      2 + 2 + 4 + 8, gives 16 bytes for mixed precision too; the 20 need gradients summed in fp32 (+ 4).
      So mixed precision does not save this memory: it speeds up products and shrinks activations.

      """
  }

  /// Table B10: formats and bytes of published recipes.
  private var recipesText: String {
    var table = TextTable([
      .text("bytes a parameter (B10)"), .number("weights"), .number("gradients"), .number("master"),
      .number("gradient sums"), .number("moments"), .number("total"), .number("against 20"),
    ])
    for recipe in recipes {
      let saved = 100 * (1 - Double(recipe.total) / 20)
      table.add([
        recipe.name, "\(recipe.weights)", "\(recipe.gradients)", "\(recipe.masterWeights)",
        "\(recipe.gradientSums)", "\(recipe.moments)", "\(recipe.total)",
        saved == 0 ? "" : "-\(saved.formatted(decimals: 0)) %",
      ])
    }
    return table.description + """
      The last line is what Apus keeps where bf16 gradients are summed in fp32: products add to the sums
      directly, so that the 2 bytes of a bf16 gradient do not exist.

      """
  }

  private var activationsText: String {
    let formulas = [
      "none": "S13: L s b h (34 + 5 a s / h)", "selective": "S16: L s b h 34", "full": "S15: L s b h 2",
    ]
    var table = TextTable([.text("activations, recomputation"), .text("formula"), .number("size")])
    for entry in activations {
      table.add([entry.recomputation, formulas[entry.recomputation] ?? "", "\(ByteCount(entry.bytes))"])
    }
    table.add(["this program", "counted in it", kept.bytes.description])
    return table.description + """
      The formula's transformer keeps bf16 tensors, dropout masks and the attention matrix, and is 4 h wide;
      this program keeps \(precision) tensors, no masks, and computes the attention matrix tile by tile.

      """
  }

  private var layerText: String {
    var table = TextTable([
      .text("S13, one layer"), .text("block"), .number("size"), .text("selective recomputation"),
    ])
    for item in formula.items {
      table.add([
        item.name, item.block.rawValue, item.size.description,
        item.isRecomputedSelectively ? "computed again" : "kept",
      ])
    }
    for block in ActivationFormula.Block.allCases {
      let share: String
      switch block {
      case .attention: share = "11 s b h + 5 a s² b"
      case .feedForward: share = "19 s b h"
      case .norms: share = "4 s b h"
      }
      table.add(["sum: \(share)", block.rawValue, formula.bytes(of: block).description, ""])
    }
    return table.description
  }

  private var costText: String {
    let cost = RecomputationCost(shape, sequenceLength: formula.sequenceLength)
    return """
      Selective recomputation drops \(cost.selectiveSavedShare.percent(decimals: 2)) of these activations; published cost \
      \(cost.selectivePublishedShare.percent(decimals: 2)) of a step,
      a plain count \(cost.selectiveCountedShare.percent(decimals: 2)). Full recomputation costs up to \
      \(RecomputationCost.fullShareOfStep.percent(decimals: 2)): one more forward pass.

      """
  }
}
