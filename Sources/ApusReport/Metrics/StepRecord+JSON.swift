import Foundation

extension StepRecord {
  /// The record as one JSON object on one line, without a line feed, keys in the order of `CodingKeys`:
  /// a person who follows the file sees the step first.
  ///
  /// JSON has no infinite numbers; those are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
  package var jsonLine: String {
    let members = CodingKeys.allCases.compactMap { key in jsonValue(key).map { "\"\(key.rawValue)\":\($0)" } }
    return "{" + members.joined(separator: ",") + "}"
  }

  /// Reads what `jsonLine` wrote; keys it does not know are ignored.
  package init(jsonLine: some DataProtocol) throws {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    self = try decoder.decode(StepRecord.self, from: Data(jsonLine))
  }

  /// The number under a key as a Double, `nil` where the step has none.
  package func value(_ key: CodingKeys) -> Double? {
    switch key {
    case .step: Double(step)
    case .loss: loss
    case .gradientNorm: gradientNorm
    case .learningRate: learningRate
    case .tokensPerSecond: tokensPerSecond
    case .tokensPerSecondPerRank: tokensPerSecondPerRank
    case .stepSeconds: stepSeconds
    case .forwardSeconds: forwardSeconds
    case .backwardSeconds: backwardSeconds
    case .optimizerSeconds: optimizerSeconds
    case .dataWaitSeconds: dataWaitSeconds
    case .modelFLOPsUtilization: modelFLOPsUtilization
    case .peakMemoryBytes: Double(peakMemoryBytes)
    case .tokensSeen: Double(tokensSeen)
    case .secondsLeft: secondsLeft
    case .validationLoss: validationLoss
    case .validationBitsPerByte: validationBitsPerByte
    case .communication: nil
    case .lossScale: lossScale
    case .skippedSteps: skippedSteps.map(Double.init)
    case .gradientSignal: gradientSignal
    case .gradientNoise: gradientNoise
    case .noiseScaleTokens: noiseScaleTokens
    }
  }

  private func jsonValue(_ key: CodingKeys) -> String? {
    switch key {
    case .step: return String(step)
    case .peakMemoryBytes: return String(peakMemoryBytes)
    case .tokensSeen: return String(tokensSeen)
    case .skippedSteps: return skippedSteps.map { String($0) }
    case .communication:
      guard let communication else { return nil }
      return "[" + communication.map(\.json).joined(separator: ",") + "]"
    default:
      guard let value = value(key) else { return nil }
      if value.isNaN { return "\"NaN\"" }
      if value.isInfinite { return value > 0 ? "\"Infinity\"" : "\"-Infinity\"" }
      return "\(value)"
    }
  }
}

extension StepRecord.AxisCommunication {
  /// One JSON object.
  fileprivate var json: String {
    "{\"axis\":\"\(axis)\",\"calls\":\(calls),\"bytes\":\(bytes),\"exposed_seconds\":\(exposedSeconds),"
      + "\"hidden_seconds\":\(hiddenSeconds)}"
  }
}
