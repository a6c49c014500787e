"""Servers of others, each a program of its own: `PORT KIND MODEL [CERTIFICATE KEY]`, KIND one of cnn, rnn, echo."""
