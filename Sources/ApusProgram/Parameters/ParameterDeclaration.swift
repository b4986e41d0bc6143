import ApusCore

/// Collects the parameters of one unit before its buffer exists.
///
/// Declaring gives a tensor inside the unit's storage at once; `finish` fixes the storage's size.
public struct UnitDeclaration {
  private let name: String
  private let storage: Int
  private let precision: PrecisionPolicy
  private var parameters: [Parameter] = []
  private var count = 0

  /// Elements to which parameters are aligned inside their unit: 64 bytes of float32, 32 of a 16-bit type.
  package static let alignment = 16

  fileprivate init(name: String, storage: Int, precision: PrecisionPolicy) {
    self.name = name
    self.storage = storage
    self.precision = precision
  }

  /// Declares a parameter of `[rows, columns]` made of `parts` below each other; one unnamed part by default.
  public mutating func declare(
    _ name: String, _ rows: Int, _ columns: Int, _ initializer: Initializer, isMatrix: Bool = true,
    parts: [(name: String, rows: Int)]? = nil
  ) -> Tensor {
    let tensor = Tensor(
      storage: storage, type: precision.compute, offset: count, rows: rows, columns: columns)
    var row = 0
    var exchange: [ExchangePart] = []
    for part in parts ?? [(name, rows)] {
      exchange.append(
        ExchangePart(name: part.name, shape: isMatrix ? [part.rows, columns] : [columns], row: row))
      row += part.rows
    }
    require(row == rows, "\(name): parts have \(row) rows, the parameter \(rows)")
    parameters.append(
      Parameter(name: name, tensor: tensor, initializer: initializer, isMatrix: isMatrix, parts: exchange))
    count += (tensor.count + Self.alignment - 1) / Self.alignment * Self.alignment
    return tensor
  }

  /// Declares a vector of `count` numbers.
  public mutating func vector(_ name: String, _ count: Int, _ initializer: Initializer) -> Tensor {
    declare(name, 1, count, initializer, isMatrix: false)
  }

  fileprivate func unit(in recorder: inout StepRecorder, training: Bool) -> ParameterUnit {
    let flat = recorder.resize(storage, name: name, count: count)
    func buffer(
      _ suffix: String, _ role: Role, _ recorder: inout StepRecorder, _ type: ElementType = .float32
    ) -> Tensor? {
      training ? recorder.tensor("\(name) \(suffix)", role, Signature(1, count, type)) : nil
    }
    return ParameterUnit(
      name: name, parameters: parameters, weights: flat,
      master: precision.hasMasterWeights ? buffer("master", .optimizerState, &recorder) : nil,
      gradients: buffer("gradients", .gradient, &recorder, precision.gradients),
      firstMoment: buffer("first moment", .optimizerState, &recorder),
      secondMoment: buffer("second moment", .optimizerState, &recorder))
  }
}

extension StepRecorder {
  /// Declares a unit: `body` declares its parameters and returns what the model keeps of them.
  public mutating func unit<Part>(
    _ name: String, training: Bool, into units: inout [ParameterUnit],
    _ body: (inout UnitDeclaration) -> Part
  ) -> Part {
    let placeholder = tensor(name, .parameter, Signature(1, 1, precision.compute))
    var declaration = UnitDeclaration(name: name, storage: placeholder.storage, precision: precision)
    let part = body(&declaration)
    units.append(declaration.unit(in: &self, training: training))
    return part
  }
}
