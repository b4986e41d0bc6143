import Foundation

/// Writes a run's scalars as an event file that `tensorboard --logdir` shows, without TensorFlow.
package struct TensorBoardWriter: ~Copyable {
  private let file: AppendedFile

  /// The event file.
  package var path: String { file.path }

  /// Creates the folder where needed and a new event file in it.
  ///
  /// - Parameter lastStep: the step that a resumed run goes on from. TensorBoard then forgets what
  ///   earlier files of the folder hold after it.
  package init(
    folder: String, resumingAfter lastStep: Int? = nil, wallTime: Double = Date().timeIntervalSince1970
  ) throws(ReportError) {
    errno = 0
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw .system(action: "create the folder", path: folder, code: errno == 0 ? EIO : errno)
    }
    // Readers take the files of a folder in the order of their names, which start with the time.
    let host = ProcessInfo.processInfo.hostName
    let stem = "\(folder)/events.out.tfevents.\(Int(wallTime)).\(host).\(getpid())"
    let file = try Self.newFile(stem: stem)
    try file.append(Self.frame(.fileVersion, wallTime))
    if let lastStep { try file.append(Self.frame(.restart(step: lastStep + 1), wallTime)) }
    self.file = file
  }

  /// Writes all scalars of a step, handed to the operating system before this returns.
  package func append(
    _ record: StepRecord, wallTime: Double = Date().timeIntervalSince1970
  ) throws(ReportError) {
    let scalars = Self.tags.compactMap { key, tag in record.value(key).map { (tag: tag, value: $0) } }
    try file.append(Self.frame(.scalars(step: record.step, scalars), wallTime))
  }

  /// The tags under which TensorBoard shows the numbers; the part before the slash is the section.
  package static let tags: [(key: StepRecord.CodingKeys, tag: String)] = [
    (.loss, "loss/training"),
    (.validationLoss, "loss/validation"),
    (.validationBitsPerByte, "loss/validation_bits_per_byte"),
    (.gradientNorm, "optimizer/gradient_norm"),
    (.learningRate, "optimizer/learning_rate"),
    (.lossScale, "optimizer/loss_scale"),
    (.skippedSteps, "optimizer/skipped_steps"),
    (.gradientSignal, "optimizer/gradient_signal"),
    (.gradientNoise, "optimizer/gradient_noise"),
    (.noiseScaleTokens, "optimizer/noise_scale_tokens"),
    (.tokensPerSecond, "speed/tokens_per_second"),
    (.tokensPerSecondPerRank, "speed/tokens_per_second_per_rank"),
    (.modelFLOPsUtilization, "speed/model_flops_utilization"),
    (.stepSeconds, "seconds/step"),
    (.forwardSeconds, "seconds/forward"),
    (.backwardSeconds, "seconds/backward"),
    (.optimizerSeconds, "seconds/optimizer"),
    (.dataWaitSeconds, "seconds/data_wait"),
    (.peakMemoryBytes, "memory/peak_bytes"),
    (.tokensSeen, "progress/tokens_seen"),
  ]

  private static func newFile(stem: String) throws(ReportError) -> AppendedFile {
    for attempt in 0..<10_000 {
      if let file = try AppendedFile.create(path: "\(stem).\(attempt)") { return file }
    }
    throw .system(action: "create", path: stem, code: EEXIST)
  }

  private static func frame(_ event: TensorBoardEvent, _ wallTime: Double) -> [UInt8] {
    TFRecord.frame(event.encoded(wallTime: wallTime))
  }
}
