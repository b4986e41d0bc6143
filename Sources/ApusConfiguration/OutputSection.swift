/// Where a run writes and what it shows.
public struct OutputSection: Hashable, Sendable, Codable {
  /// The run's folder, relative to the folder in which the program runs.
  public var folder: String
  /// Steps between the lines on the terminal.
  public var logEvery: Int
  /// Whether TensorBoard event files are written.
  public var tensorboard: Bool
  /// Whether an HTML report is written at the end.
  public var report: Bool
  /// The text that the trained model continues at the end; nil for none.
  public var samplePrompt: String?
  /// How many tokens it continues the prompt by.
  public var sampleTokens: Int

  public init(
    folder: String, logEvery: Int = 1, tensorboard: Bool = true, report: Bool = true,
    samplePrompt: String? = nil, sampleTokens: Int = 64
  ) {
    self.folder = folder
    self.logEvery = logEvery
    self.tensorboard = tensorboard
    self.report = report
    self.samplePrompt = samplePrompt
    self.sampleTokens = sampleTokens
  }

  /// - Parameter defaultFolder: `runs/` and the configuration's name.
  init(reading reader: inout SectionReader, defaultFolder: String) {
    folder = reader.text("folder") ?? defaultFolder
    logEvery = reader.integer("log_every", 1...Int.max) ?? 1
    tensorboard = reader.truth("tensorboard") ?? true
    report = reader.truth("report") ?? true
    samplePrompt = reader.text("sample_prompt")
    sampleTokens = reader.integer("sample_tokens", 1...1_000_000) ?? 64
    if !reader.has("sample_prompt") {
      reader.refuse(
        "sample_tokens", because: "has no effect without sample_prompt", "add sample_prompt or remove it")
    }
  }

  var resolved: ResolvedValue {
    var entries = ResolvedEntries()
    entries.add("folder", folder)
    entries.add("log_every", logEvery)
    entries.add("tensorboard", tensorboard)
    entries.add("report", report)
    if let samplePrompt {
      entries.add("sample_prompt", samplePrompt)
      entries.add("sample_tokens", sampleTokens)
    }
    return .mapping(entries)
  }
}
