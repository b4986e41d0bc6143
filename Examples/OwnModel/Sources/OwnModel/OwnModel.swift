import Apus
import Foundation

// Shapes: T tokens, D hidden size, V vocabulary (bytes).

/// A byte model of one attention layer and one feed-forward layer with an untied head.
struct OneLayer: LanguageModel {
  private(set) var units: [ParameterUnit] = []
  let head: Tensor
  private let table, norm, queryKeyValue, out, up, down, finalNorm: Tensor
  private let heads = HeadShape(headCount: 4, keyValueHeadCount: 4, headSize: 16)

  init(training: Bool, in step: inout StepRecorder) {
    let (v, d, width) = (256, 64, heads.width)
    let random = Initializer.normal(deviation: 0.05)
    (table, norm, queryKeyValue, out, up, down, finalNorm, head) = step.unit(
      "one layer", training: training, into: &units
    ) { unit in
      (
        unit.declare("table", v, d, random), unit.vector("norm", d, .ones),
        unit.declare("query_key_value", d, width, random), unit.declare("out", d, d, random),
        unit.declare("up", d, 4 * d, random), unit.declare("down", 4 * d, d, random),
        unit.vector("final_norm", d, .ones), unit.declare("head", v, d, random)
      )
    }
  }

  func hiddenStates(_ tokens: Tensor, _ context: SequenceContext, in step: inout StepRecorder) -> Tensor {
    var x_TD = step.embedding(tokens, table)
    let qkv = step.linear(
      step.rmsNorm(x_TD, weight: norm, epsilon: 1e-5), queryKeyValue, layout: .inputMajor)
    let mixed_TD = context.attend(qkv, heads, layer: 0, in: &step)
    x_TD = step.add(x_TD, step.linear(mixed_TD, out, layout: .inputMajor))
    let hidden = step.gelu(step.linear(x_TD, up, layout: .inputMajor))
    x_TD = step.add(x_TD, step.linear(hidden, down, layout: .inputMajor))
    return step.rmsNorm(x_TD, weight: finalNorm, epsilon: 1e-5)
  }
}

@main
enum Main {
  static func main() throws {
    let text = try Data(contentsOf: URL(fileURLWithPath: CommandLine.arguments.dropFirst().first ?? #filePath))
    let session = try TrainingSession(
      tokens: text.map(Int32.init), settings: .init(sequenceLength: 64, microBatchSize: 16)
    ) { step, training in OneLayer(training: training, in: &step) }
    print("\(session.plan.parameterCount) parameters, a step takes \(session.plan.totalBytes) bytes")
    for _ in 0..<200 {
      let step = try session.step(learningRate: 3e-3)
      if step.number % 20 == 0 { print("step \(step.number): loss \(step.loss)") }
    }
  }
}
