import ApusCore

extension Double {
  /// A time in seconds as a person says it, the two largest units: `0.4 s`, `42 s`, `3m 05s`, `2h 07m`,
  /// `12d 04h`; `-` where it is unknown (negative, or not finite).
  package var durationText: String {
    guard isFinite, self >= 0, self < 1e15 else { return "-" }
    if self < 9.95 { return "\(formatted(decimals: 1)) s" }
    let seconds = Int(rounded())
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    switch seconds {
    case ..<60: return "\(seconds) s"
    case ..<3600: return "\(seconds / 60)m \(two(seconds % 60))s"
    case ..<86400: return "\(seconds / 3600)h \(two(seconds % 3600 / 60))m"
    default: return "\(seconds / 86400)d \(two(seconds % 86400 / 3600))h"
    }
  }
}
