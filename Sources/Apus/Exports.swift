// One import gives a user of the library the words that models and configurations are written in.
@_exported public import ApusConfiguration
@_exported public import ApusModels
@_exported public import ApusProgram
