extension String {
  /// Columns that the text takes on a terminal: one a character, two for the wide East Asian ones and
  /// for emoji.
  var displayWidth: Int {
    reduce(0) { width, character in
      guard let first = character.unicodeScalars.first else { return width }
      return width + (Self.isWide(first) ? 2 : 1)
    }
  }

  /// The text with blanks before it up to a width; longer text stays as it is.
  func padded(left width: Int) -> String {
    String(repeating: " ", count: max(0, width - displayWidth)) + self
  }

  /// The text with blanks after it up to a width.
  func padded(right width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - displayWidth))
  }

  private static func isWide(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF,
      0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
      true
    default: false
    }
  }
}
