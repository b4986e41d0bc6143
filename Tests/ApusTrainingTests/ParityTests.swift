import ApusCheckpoint
import ApusModels
import ApusProgram
import ApusRuntime
import ApusTraining
import Foundation
import Testing

/// Same weights, same tokens, same numbers as PyTorch: see `Fixtures/make_parity.py`.
@Suite(.serialized) struct ParityTests {
  static let models = ["gpt2", "llama", "llama3-tied"]

  struct Expected: Decodable {
    var losses_in_double: [Double]
    var gradient_norms_in_double: [Double]
    var losses: [Double]
    var learning_rate: Double
    var betas: [Double]
    var epsilon: Double
    var weight_decay: Double
    var gradient_clip: Double
  }

  struct HeldOut: Decodable {
    var sequence_length: Int
    var tokens: [Int32]
    var losses: [Double]
    var mean_loss: Double
  }

  struct Greedy: Decodable {
    var prompt: [Int32]
    var generated: [Int32]
  }

  /// Sequences of one token more than the step reads, micro-batch by micro-batch.
  struct Sequences: BatchSource {
    var steps: [[[Int32]]]

    func fill(
      inputs: UnsafeMutableBufferPointer<Int32>, targets: UnsafeMutableBufferPointer<Int32>, first: Int,
      count: Int
    ) {
      let perStep = steps[0].count
      for sample in 0..<count {
        let sequence = steps[(first + sample) / perStep][(first + sample) % perStep]
        for index in 0..<sequence.count - 1 {
          inputs[sample * (sequence.count - 1) + index] = sequence[index]
          targets[sample * (sequence.count - 1) + index] = sequence[index + 1]
        }
      }
    }
  }

  static func folder(_ model: String) -> URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "Fixtures/parity/\(model)")
  }

  static func read<Value: Decodable>(_ type: Value.Type, _ model: String, _ file: String) throws -> Value {
    try JSONDecoder().decode(type, from: Data(contentsOf: folder(model).appendingPathComponent(file)))
  }

  /// Twenty steps with the micro-batches as PyTorch had them, and divided into single sequences.
  @Test(arguments: models, [3, 1])
  func lossGradientsAndTwentySteps(_ model: String, microBatchSize: Int) throws {
    let weights = try HuggingFaceFolder(opening: Self.folder(model))
    let expected = try Self.read(Expected.self, model, "parity.json")
    let source = Sequences(steps: try Self.read([[[Int32]]].self, model, "tokens.json"))
    let optimizer = OptimizerSettings(
      beta1: expected.betas[0], beta2: expected.betas[1], epsilon: expected.epsilon,
      weightDecay: expected.weight_decay, maximumNorm: expected.gradient_clip)
    let executor = try Executor(
      .training(
        weights.configuration,
        TrainingProgramSettings(
          microBatchSize: microBatchSize, sequenceLength: source.steps[0][0].count - 1, optimizer: optimizer)),
      threads: 2)
    executor.poison()
    executor.initializeParameters(seed: 1)
    try WeightExchange(executor).read(from: weights)
    let loop = StepLoop(
      executor, microbatches: 3 / microBatchSize, samplesPerMicrobatch: microBatchSize, optimizer: optimizer)
    for step in 1...expected.losses.count {
      let outcome = try loop.run(step: step, learningRate: expected.learning_rate, source)
      let loss = expected.losses_in_double[step - 1]
      let tolerance = step == 1 ? 1e-6 : 1e-5
      #expect(abs(outcome.loss - loss) < tolerance * loss, "loss of step \(step)")
      let norm = expected.gradient_norms_in_double[step - 1]
      #expect(abs(outcome.gradientNorm - norm) < 1e-4 * norm, "gradient norm of step \(step)")
      if step == 1 { try compareGradients(executor, model) }
    }
  }

  private func compareGradients(_ executor: Executor, _ model: String) throws {
    let file = try SafetensorsFile(
      path: Self.folder(model).appendingPathComponent("gradients.safetensors").path)
    for unit in executor.program.units {
      for parameter in unit.parameters {
        for part in parameter.parts {
          let values = executor.runs(of: part, parameter, unit, in: unit.gradients!)[0].values
          var expected = [Float](repeating: 0, count: part.count)
          try expected.withUnsafeMutableBufferPointer { try file.read(part.name, into: $0.baseAddress!) }
          var (difference, norm) = (0.0, 0.0)
          for index in 0..<part.count {
            difference += pow(Double(values[index]) - Double(expected[index]), 2)
            norm += pow(Double(expected[index]), 2)
          }
          #expect((difference / norm).squareRoot() < 1e-5, "gradient of \(part.name)")
        }
      }
    }
  }

  @Test(arguments: models)
  func evaluationGivesPyTorchsLosses(_ model: String) throws {
    let weights = try HuggingFaceFolder(opening: Self.folder(model))
    let heldOut = try Self.read(HeldOut.self, model, "held_out.json")
    let evaluator = Evaluator(
      weights.configuration, sequenceLength: heldOut.sequence_length, threads: 2
    ) { try WeightExchange($0).read(from: weights) }
    let result = try evaluator.run(count: heldOut.tokens.count) { heldOut.tokens[$0] }
    #expect(result.tokens == heldOut.losses.count)
    for (loss, expected) in zip(result.losses, heldOut.losses) {
      #expect(abs(Double(loss) - expected) < 2e-5)
    }
    #expect(abs(result.meanLoss - heldOut.mean_loss) < 1e-5)
  }

  @Test(arguments: models)
  func greedyTokensEqualTransformers(_ model: String) throws {
    let weights = try HuggingFaceFolder(opening: Self.folder(model))
    let greedy = try Self.read(Greedy.self, model, "greedy.json")
    for prefill in [1, 3, 64] {
      let generator = try Generator(weights.configuration, capacity: 64, threads: 2, prefillLength: prefill)
      try WeightExchange(generator.executor).read(from: weights)
      var tokens: [Int32] = []
      generator.generate(greedy.prompt, count: greedy.generated.count, choosing: .greedy) {
        tokens.append($0)
        return true
      }
      #expect(tokens == greedy.generated)
    }
  }
}
