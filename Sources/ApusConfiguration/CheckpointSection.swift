/// When the state of the training is saved.
public struct CheckpointSection: Hashable, Sendable, Codable {
  /// Steps between checkpoints; 0 saves none before the end.
  public var every: Int
  /// How many of the newest checkpoints stay on the disk.
  public var keep: Int
  /// Whether the last step is saved.
  public var atEnd: Bool

  public init(every: Int = 0, keep: Int = 2, atEnd: Bool = true) {
    self.every = every
    self.keep = keep
    self.atEnd = atEnd
  }

  init(reading reader: inout SectionReader) {
    every = reader.integer("every", 0...Int.max) ?? 0
    keep = reader.integer("keep", 1...Int.max) ?? 2
    atEnd = reader.truth("at_end") ?? true
    if reader.isGood("every", "at_end"), every == 0, !atEnd {
      reader.refuse("keep", because: "keeps nothing: every is 0 and at_end is false")
    }
  }

  var resolved: ResolvedValue {
    var entries = ResolvedEntries()
    entries.add("every", every)
    if every > 0 || atEnd { entries.add("keep", keep) }
    entries.add("at_end", atEnd)
    return .mapping(entries)
  }
}
