/// What one training step reports: a line of `metrics.jsonl`, a point of every chart.
///
/// The JSON keys are the property names in snake case and never change meaning; a new key may be added.
package struct StepRecord: Codable, Hashable, Sendable {
  /// Counted from 1.
  package var step: Int
  /// Mean training loss of the step, in nats per token.
  package var loss: Double
  /// Global L2 norm of the gradient before clipping.
  package var gradientNorm: Double
  package var learningRate: Double
  /// Tokens of the global batch over `stepSeconds`.
  package var tokensPerSecond: Double
  package var tokensPerSecondPerRank: Double
  package var stepSeconds: Double
  package var forwardSeconds: Double
  package var backwardSeconds: Double
  package var optimizerSeconds: Double
  /// Time in which the step waited for its batch.
  package var dataWaitSeconds: Double
  /// Model FLOPs over the peak of the device, 0 to 1, causal attention counted as half;
  /// `nil` where the peak is unknown.
  package var modelFLOPsUtilization: Double?
  package var peakMemoryBytes: Int
  /// Tokens of the whole run up to and including this step.
  package var tokensSeen: Int
  /// Estimated time to the last step.
  package var secondsLeft: Double
  /// Nats per token, at steps that validate.
  package var validationLoss: Double?
  package var validationBitsPerByte: Double?
  /// What the first rank exchanged over each axis of the layout; empty with one rank.
  package var communication: [AxisCommunication]?

  /// Communication of one rank along one axis in one step.
  package struct AxisCommunication: Codable, Hashable, Sendable {
    /// `data`, `tensor`, ...
    package var axis: String
    package var calls: Int
    /// Bytes that a rank sends by the ring algorithm's formula.
    package var bytes: Double
    /// Seconds in which the rank did nothing else.
    package var exposedSeconds: Double
    /// Seconds in which transfers were under way while the rank computed.
    package var hiddenSeconds: Double

    package init(axis: String, calls: Int, bytes: Double, exposedSeconds: Double, hiddenSeconds: Double) {
      self.axis = axis
      self.calls = calls
      self.bytes = bytes
      self.exposedSeconds = exposedSeconds
      self.hiddenSeconds = hiddenSeconds
    }

    package enum CodingKeys: String, CodingKey {
      case axis, calls, bytes
      case exposedSeconds = "exposed_seconds"
      case hiddenSeconds = "hidden_seconds"
    }
  }
  /// Factor of the loss in this step, in fp16 runs.
  package var lossScale: Double?
  /// Steps of the whole run so far whose update was skipped because scaled gradients overflowed, in fp16 runs.
  package var skippedSteps: Int?
  /// The step's own estimates of the squared norm of the true gradient and of a token's gradient variance
  /// (McCandlish et al. 2018, appendix A.1), in steps of several micro-batches.
  package var gradientSignal: Double?
  package var gradientNoise: Double?
  /// Smoothed noise over smoothed signal, tokens: the critical batch size.
  package var noiseScaleTokens: Double?

  package init(
    step: Int, loss: Double, gradientNorm: Double, learningRate: Double, tokensPerSecond: Double,
    tokensPerSecondPerRank: Double, stepSeconds: Double, forwardSeconds: Double, backwardSeconds: Double,
    optimizerSeconds: Double, dataWaitSeconds: Double, modelFLOPsUtilization: Double? = nil,
    peakMemoryBytes: Int, tokensSeen: Int, secondsLeft: Double, validationLoss: Double? = nil,
    validationBitsPerByte: Double? = nil, lossScale: Double? = nil, skippedSteps: Int? = nil,
    gradientSignal: Double? = nil, gradientNoise: Double? = nil, noiseScaleTokens: Double? = nil,
    communication: [AxisCommunication]? = nil
  ) {
    self.step = step
    self.loss = loss
    self.gradientNorm = gradientNorm
    self.learningRate = learningRate
    self.tokensPerSecond = tokensPerSecond
    self.tokensPerSecondPerRank = tokensPerSecondPerRank
    self.stepSeconds = stepSeconds
    self.forwardSeconds = forwardSeconds
    self.backwardSeconds = backwardSeconds
    self.optimizerSeconds = optimizerSeconds
    self.dataWaitSeconds = dataWaitSeconds
    self.modelFLOPsUtilization = modelFLOPsUtilization
    self.peakMemoryBytes = peakMemoryBytes
    self.tokensSeen = tokensSeen
    self.secondsLeft = secondsLeft
    self.validationLoss = validationLoss
    self.validationBitsPerByte = validationBitsPerByte
    self.communication = communication
    self.lossScale = lossScale
    self.skippedSteps = skippedSteps
    self.gradientSignal = gradientSignal
    self.gradientNoise = gradientNoise
    self.noiseScaleTokens = noiseScaleTokens
  }

  package enum CodingKeys: String, CodingKey, CaseIterable {
    case step, loss
    case gradientNorm = "gradient_norm"
    case learningRate = "learning_rate"
    case tokensPerSecond = "tokens_per_second"
    case tokensPerSecondPerRank = "tokens_per_second_per_rank"
    case stepSeconds = "step_seconds"
    case forwardSeconds = "forward_seconds"
    case backwardSeconds = "backward_seconds"
    case optimizerSeconds = "optimizer_seconds"
    case dataWaitSeconds = "data_wait_seconds"
    case modelFLOPsUtilization = "model_flops_utilization"
    case peakMemoryBytes = "peak_memory_bytes"
    case tokensSeen = "tokens_seen"
    case secondsLeft = "seconds_left"
    case validationLoss = "validation_loss"
    case validationBitsPerByte = "validation_bits_per_byte"
    case lossScale = "loss_scale"
    case skippedSteps = "skipped_steps"
    case gradientSignal = "gradient_signal"
    case gradientNoise = "gradient_noise"
    case noiseScaleTokens = "noise_scale_tokens"
    case communication
  }
}
