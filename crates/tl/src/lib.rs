//! TL wire codec with limits, schema parser and the service types of MTProto 2.0.
