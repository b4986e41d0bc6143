// The two common pre-tokenisation rules, written by hand: what the regular expressions in `SplitRule` match
// at a position, alternative by alternative. Each function returns the end of the pre-token that starts
// there.

private let apostrophe = UInt8(ascii: "'")
private let blank = UInt8(ascii: " ")
private let lineFeed = UInt8(ascii: "\n")
private let carriageReturn = UInt8(ascii: "\r")

extension ClassifiedText {
  /// The end of the pre-token of GPT-2's rule.
  @inline(__always)
  func endOfGPT2Split(from start: Int) -> Int {
    let first = bytes[start]
    if first == apostrophe, let end = endOfContraction(from: start) { return end }
    let (kind, count) = scalar(at: start)
    if kind != ScalarClass.space { return endOfRun(kind, from: start + count) }
    if first == blank, start + 1 < end {
      let (next, nextCount) = scalar(at: start + 1)
      if next != ScalarClass.space { return endOfRun(next, from: start + 1 + nextCount) }
    }
    return endOfSpaces(from: start, firstCount: count)
  }

  /// The end of the pre-token of Llama 3's rule.
  @inline(__always)
  func endOfLlama3Split(from start: Int, maximumDigits: Int) -> Int {
    let first = bytes[start]
    if first == apostrophe, let end = endOfAnyCaseContraction(from: start) { return end }
    let (kind, count) = scalar(at: start)
    let afterFirst = start + count
    if kind == ScalarClass.letter { return endOfRun(ScalarClass.letter, from: afterFirst) }
    if kind == ScalarClass.number { return endOfDigits(from: afterFirst, atMost: maximumDigits - 1) }
    var next = ScalarClass.space
    var nextCount = 0
    if afterFirst < end { (next, nextCount) = scalar(at: afterFirst) }
    if next == ScalarClass.letter, first != carriageReturn, first != lineFeed {
      return endOfRun(ScalarClass.letter, from: afterFirst + nextCount)
    }
    if kind == ScalarClass.other { return endOfSigns(from: afterFirst) }
    if first == blank, nextCount > 0, next == ScalarClass.other {
      return endOfSigns(from: afterFirst + nextCount)
    }
    return endOfSpacesOrLines(from: start, firstCount: count)
  }

  /// `'s|'t|'re|'ve|'m|'ll|'d`
  @inline(__always)
  private func endOfContraction(from start: Int) -> Int? {
    guard start + 1 < end else { return nil }
    switch bytes[start + 1] {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return start + 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"):
      return start + 2 < end && bytes[start + 2] == UInt8(ascii: "e") ? start + 3 : nil
    case UInt8(ascii: "l"):
      return start + 2 < end && bytes[start + 2] == UInt8(ascii: "l") ? start + 3 : nil
    default: return nil
    }
  }

  /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)`; U+017F, the long s, folds to s.
  @inline(__always)
  private func endOfAnyCaseContraction(from start: Int) -> Int? {
    guard start + 1 < end else { return nil }
    let second = bytes[start + 1]
    if second == 0xc5 { return start + 2 < end && bytes[start + 2] == 0xbf ? start + 3 : nil }
    let third = start + 2 < end ? bytes[start + 2] | 0x20 : 0
    switch second | 0x20 {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      return start + 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"):
      return third == UInt8(ascii: "e") ? start + 3 : nil
    case UInt8(ascii: "l"):
      return third == UInt8(ascii: "l") ? start + 3 : nil
    default: return nil
    }
  }

  /// The rest of `\p{N}{1,n}`.
  @inline(__always)
  private func endOfDigits(from start: Int, atMost limit: Int) -> Int {
    var (position, remaining) = (start, limit)
    while remaining > 0, position < end {
      let (kind, count) = scalar(at: position)
      if kind != ScalarClass.number { break }
      position += count
      remaining -= 1
    }
    return position
  }

  /// The rest of `[^\s\p{L}\p{N}]+[\r\n]*`.
  @inline(__always)
  private func endOfSigns(from start: Int) -> Int {
    var position = endOfRun(ScalarClass.other, from: start)
    while position < end, bytes[position] == lineFeed || bytes[position] == carriageReturn { position += 1 }
    return position
  }

  /// `\s+(?!\S)|\s+`: all spaces at the end of the text; elsewhere all but the last one, unless it is alone.
  private func endOfSpaces(from start: Int, firstCount: Int) -> Int {
    var (last, position) = (start, start + firstCount)
    while position < end {
      let (kind, count) = scalar(at: position)
      if kind != ScalarClass.space { return last > start ? last : position }
      last = position
      position += count
    }
    return end
  }

  /// `\s*[\r\n]+|\s+(?!\S)|\s+`: up to the last newline of the run if it has one, else as `endOfSpaces`.
  private func endOfSpacesOrLines(from start: Int, firstCount: Int) -> Int {
    let runEnd = endOfRun(ScalarClass.space, from: start)
    var position = runEnd
    while position > start {
      if bytes[position - 1] == lineFeed || bytes[position - 1] == carriageReturn { return position }
      position -= 1
    }
    return endOfSpaces(from: start, firstCount: firstCount)
  }
}
