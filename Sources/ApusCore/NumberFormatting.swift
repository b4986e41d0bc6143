extension Double {
  /// The number with a fixed count of decimals, without a locale: `3.5.formatted(decimals: 2)` is `3.50`.
  package func formatted(decimals: Int) -> String {
    guard isFinite else { return isNaN ? "nan" : (self < 0 ? "-inf" : "inf") }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let rounded = (magnitude * scale).rounded()
    guard rounded < 9e15 else { return "\(self)" }
    let digits = String(Int(rounded))
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    let sign = self < 0 && rounded > 0 ? "-" : ""
    guard decimals > 0 else { return sign + padded }
    return sign + padded.dropLast(decimals) + "." + padded.suffix(decimals)
  }
}

extension Double {
  /// A share in percent: `0.125.percent()` is `12.5 %`.
  package func percent(decimals: Int = 1) -> String { "\((100 * self).formatted(decimals: decimals)) %" }
}

extension Int {
  /// The number with a comma between groups of three digits: `124,439,808`.
  package var grouped: String {
    let digits = String(magnitude)
    var result = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index).isMultiple(of: 3) { result.append(",") }
      result.append(digit)
    }
    return (self < 0 ? "-" : "") + result
  }
}
