import Foundation

/// Natural logarithm.
func logarithm(_ x: Double) -> Double { log(x) }

/// e to the power of x.
func exponential(_ x: Double) -> Double { exp(x) }

/// x to the power of y.
func power(_ x: Double, _ y: Double) -> Double { pow(x, y) }

/// The power of ten of a number's first digit: -3 for 0.0042.
func decade(_ x: Double) -> Int { Int(floor(log10(abs(x)))) }

/// Smallest whole number of groups of `size` that hold `count`.
func groups(of size: Int, in count: Int) -> Int { (count + size - 1) / size }
