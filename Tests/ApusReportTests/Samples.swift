import ApusReport
import Foundation

/// A record with a different number in every place.
func sampleRecord(step: Int, validated: Bool = false) -> StepRecord {
  StepRecord(
    step: step, loss: 4.25 - Double(step) / 100, gradientNorm: 0.75, learningRate: 3e-4,
    tokensPerSecond: 12_345.6, tokensPerSecondPerRank: 6172.8, stepSeconds: 0.332, forwardSeconds: 0.1,
    backwardSeconds: 0.2, optimizerSeconds: 0.03, dataWaitSeconds: 0.0012, modelFLOPsUtilization: 0.412,
    peakMemoryBytes: 3_221_225_472, tokensSeen: step * 4096, secondsLeft: 3725,
    validationLoss: validated ? 3.125 : nil, validationBitsPerByte: validated ? 0.9876 : nil,
    lossScale: validated ? 32_768 : nil, skippedSteps: validated ? 3 : nil,
    gradientSignal: validated ? 0.5 : nil, gradientNoise: validated ? 2.5 : nil,
    noiseScaleTokens: validated ? 54_321 : nil,
    communication: validated
      ? [.init(axis: "data", calls: 3, bytes: 4096, exposedSeconds: 0.25, hiddenSeconds: 0.5)] : nil)
}

/// A folder that is gone when the owner is.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "apus-report-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// What was written to a pipe while `body` ran; `body` gets the end to write to. Less than 64 KiB.
func captured(_ body: (Int32) -> Void) -> String {
  let pipe = Pipe()
  body(pipe.fileHandleForWriting.fileDescriptor)
  try? pipe.fileHandleForWriting.close()
  return String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
}
