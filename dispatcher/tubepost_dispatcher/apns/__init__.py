"""Pools of HTTP/2 connections to APNs."""
