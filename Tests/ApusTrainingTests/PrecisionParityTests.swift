import ApusCheckpoint
import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime
import ApusTraining
import Foundation
import Testing

/// 16-bit steps against PyTorch under autocast in bfloat16: see `Fixtures/make_parity_bf16.py`.
///
/// Both round, but not in the same places: autocast keeps the residual stream in float32 and rounds weights at
/// each use; Apus keeps everything between instructions in 16 bits. So both are held against double precision
/// too, and Apus may be at most twice as far from it as autocast is.
@Suite(.serialized) struct PrecisionParityTests {
  static let policies: [PrecisionPolicy] = [.bf16, .bf16SummingInFloat32, .fp16]

  struct Autocast: Decodable {
    var losses: [Double]
    var gradient_norms: [Double]
  }

  /// Norm of `values - expected` over that of `expected`.
  static func distance(_ values: [Float], _ expected: [Float]) -> Double {
    var (difference, norm) = (0.0, 0.0)
    for (value, other) in zip(values, expected) {
      difference += pow(Double(value) - Double(other), 2)
      norm += pow(Double(other), 2)
    }
    return (difference / norm).squareRoot()
  }

  @Test(arguments: ["gpt2", "llama"], policies)
  func lossGradientsAndTwentySteps(_ model: String, _ policy: PrecisionPolicy) throws {
    let weights = try HuggingFaceFolder(opening: ParityTests.folder(model))
    let exact = try ParityTests.read(ParityTests.Expected.self, model, "parity.json")
    let autocast = try ParityTests.read(Autocast.self, model, "parity_bf16.json")
    let source = ParityTests.Sequences(
      steps: try ParityTests.read([[[Int32]]].self, model, "tokens.json"))
    let optimizer = OptimizerSettings(
      beta1: exact.betas[0], beta2: exact.betas[1], epsilon: exact.epsilon,
      weightDecay: exact.weight_decay, maximumNorm: exact.gradient_clip)
    let executor = try Executor(
      .training(
        weights.configuration,
        TrainingProgramSettings(
          microBatchSize: 3, sequenceLength: source.steps[0][0].count - 1, optimizer: optimizer,
          precision: policy)),
      threads: 2)
    executor.poison()
    executor.initializeParameters(seed: 1)
    try WeightExchange(executor).read(from: weights)
    let loop = StepLoop(executor, microbatches: 1, samplesPerMicrobatch: 3, optimizer: optimizer)
    var scale = policy.scalesLoss ? LossScale() : nil
    for step in 1...exact.losses.count {
      let outcome = try loop.run(
        step: step, learningRate: exact.learning_rate, scale: scale, source)
      let used = scale?.value ?? 1
      #expect(!outcome.isSkipped)
      scale?.record(outcome)
      let (loss, norm) = (exact.losses_in_double[step - 1], exact.gradient_norms_in_double[step - 1])
      #expect(abs(outcome.loss - loss) < 1e-3 * loss, "loss of step \(step)")
      #expect(abs(outcome.loss - autocast.losses[step - 1]) < 1.5e-3 * loss, "loss of step \(step), autocast")
      #expect(abs(outcome.gradientNorm - norm) < 1e-2 * norm, "gradient norm of step \(step)")
      #expect(
        abs(outcome.gradientNorm - autocast.gradient_norms[step - 1]) < 1.5e-2 * norm,
        "gradient norm of step \(step), autocast")
      if step == 1 { try compareGradients(executor, model, scale: used) }
    }
  }

  private func compareGradients(_ executor: Executor, _ model: String, scale: Double) throws {
    let files = try ["gradients.safetensors", "gradients_bf16.safetensors"].map {
      try SafetensorsFile(path: ParityTests.folder(model).appendingPathComponent($0).path)
    }
    for unit in executor.program.units {
      for parameter in unit.parameters {
        for part in parameter.parts {
          let box = executor.boxes(of: part, parameter, unit, in: unit.gradients!)[0]
          let values = executor.values(unit.gradients!.columns(from: box.offset, part.count))
            .map { $0 / Float(scale) }
          let published = try files.map { file in
            var numbers = [Float](repeating: 0, count: part.count)
            try numbers.withUnsafeMutableBufferPointer { try file.read(part.name, into: $0.baseAddress!) }
            return numbers
          }
          let rounding = Self.distance(published[1], published[0])
          #expect(Self.distance(values, published[0]) < 2 * rounding, "gradient of \(part.name)")
          #expect(Self.distance(values, published[1]) < 0.05, "gradient of \(part.name), autocast")
        }
      }
    }
  }
}
