mod command;
mod hello;
mod message;
